"""Training dynamics are the steps' own losses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.engine.reference import without_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder

from thriftune.engine.hooks import Dynamics
from thriftune.engine.predict import log_softmax, predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier

PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=32)


def classifier() -> Classifier:
    made = load_classifier(model_folder("bert"), LABELS)
    find("top_layers")(layers=1).apply(made, torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("accumulate", [1, 3])
def test_every_text_has_its_loss_in_every_epoch(tmp_path: Path, accumulate: int) -> None:
    model, dynamics = classifier(), Dynamics()
    protocol = replace(PROTOCOL, accumulate=accumulate)
    result = fit(Task(model, examples(model, 43), None, protocol, 1e-2, 0, tmp_path / "best"), [dynamics])
    assert dynamics.true_probability.shape == (2, 43)
    means = -np.log(dynamics.true_probability).mean(axis=1)
    np.testing.assert_allclose(means, [point.train_loss for point in result.epochs], rtol=1e-5)


def test_texts_keep_their_place(tmp_path: Path) -> None:
    """Without dropout and with a vanishing learning rate training sees what prediction sees."""
    model, dynamics = classifier(), Dynamics()
    without_dropout(model.network)
    data = examples(model, 30)
    logits = predict(model, data, PROTOCOL)
    fit(Task(model, data, None, replace(PROTOCOL, epochs=1), 1e-12, 0, tmp_path / "best"), [dynamics])
    expected = np.exp(log_softmax(logits))[np.arange(30), data.labels]
    np.testing.assert_allclose(dynamics.true_probability[0], expected, rtol=1e-4)
