"""The engine against a plain transformers + PEFT loop, on identical batches with dropout off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.engine.reference import RATE, copy_weights, freeze, train, without_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, RELATIVES, SHARED, model_folder
from transformers import AutoModelForSequenceClassification

from thriftune.engine.protocol import Protocol, ScheduleSettings
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.models.pretrained.load import load_classifier

METHODS = {"full": {}, "top_layers": {"layers": 1}, "lora": {}, "lora_fa": {}}
STEPS = 20
BATCH = 8
PROTOCOL = Protocol(
    epochs=2,
    batch_size=BATCH,
    max_tokens=32,
    padding="longest",
    schedule=ScheduleSettings(type="constant"),
    keep="last",
)


CASES = [
    *((method, kind) for method in METHODS for kind in KINDS),
    ("full", RELATIVES[0]),
    *((method, SHARED[0]) for method in ("full", "lora")),
]


@pytest.mark.parametrize(("method", "kind"), CASES)
def test_twenty_losses_agree(method: str, kind: str, tmp_path: Path) -> None:
    """To 1e-5 relative, head included, with LoRA's B made non-zero."""
    folder = model_folder(kind)
    classifier = load_classifier(folder, LABELS, seed=1)
    find(method)(**METHODS[method]).apply(classifier, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for name, parameter in classifier.trained():
            if "lora_B" in name:
                parameter.normal_(0, 0.05, generator=torch.Generator().manual_seed(3))
    plain = freeze(AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3), method)
    copy_weights(classifier, plain)
    for network in (classifier.network, plain):
        without_dropout(network)
    data = examples(classifier, BATCH * STEPS // 2)
    expected = train(plain.train(), data, classifier.config.pad_token_id, BATCH, STEPS, seed=5)
    task = Task(classifier, data, None, PROTOCOL, RATE, 5, tmp_path / "best.safetensors")
    found = [point.loss for point in fit(task).steps]
    assert len(found) == STEPS
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(found) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_padding_to_the_maximum_changes_nothing_but_the_work(kind: str, tmp_path: Path) -> None:
    losses = []
    for padding in ("longest", "max"):
        classifier = load_classifier(model_folder(kind), LABELS)
        find("top_layers")(layers=1).apply(classifier, torch.Generator())
        without_dropout(classifier.network)
        protocol = replace(PROTOCOL, padding=padding, epochs=1)
        task = Task(classifier, examples(classifier, 32), None, protocol, RATE, 0, tmp_path / "best")
        losses.append([point.loss for point in fit(task).steps])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
