"""What is stored loads with transformers / PEFT alone and predicts the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.tiny_data import LABELS, examples, pairs
from tests.tiny_models import KINDS, RELATIVES, SHARED, model_folder
from transformers import AutoModel, AutoTokenizer

from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.methods import discover, find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.save import save_classifier
from thriftune.testing.methods import stored_alike

SETTINGS: dict[str, dict[str, Any]] = {"peft": {"type": "LOHA"}, "top_layers": {"layers": 1}}
METHODS = [name for name, method in discover().items() if not method.BASELINE]
CASES = [
    *((name, kind) for name in METHODS for kind in KINDS if (name, kind) != ("bitfit", "modernbert")),
    *(("full", kind) for kind in RELATIVES),
    *((name, SHARED[0]) for name in METHODS if name != "top_layers"),
]


def trained(name: str, kind: str, head: str) -> Classifier:
    """A classifier whose trained tensors have all been moved."""
    classifier = load_classifier(model_folder(kind), LABELS, HeadSettings(type=head))
    find(name)(**SETTINGS.get(name, {})).apply(classifier, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for index, (_, parameter) in enumerate(classifier.trained()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)), alpha=0.05)
    return classifier


def encoded(folder: Path) -> Any:
    first, second, _ = pairs(12)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return tokenizer(first, second, truncation=True, max_length=32, padding=True, return_tensors="pt")


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_own_head(name: str, kind: str, tmp_path: Path) -> None:
    classifier = trained(name, kind, "own")
    stored_alike(classifier, model_folder(kind), tmp_path)


@pytest.mark.parametrize("name", ["full", "lora"])
@pytest.mark.parametrize("kind", [*KINDS, SHARED[0]])
@pytest.mark.parametrize("head_type", ["linear", "mean"])
def test_head_on_the_bare_encoder(name: str, kind: str, head_type: str, tmp_path: Path) -> None:
    classifier = trained(name, kind, head_type)
    save_classifier(classifier, tmp_path)
    head = load_file(tmp_path / "head.safetensors")
    folder = model_folder(kind) if name == "lora" else tmp_path
    encoder = AutoModel.from_pretrained(folder)
    if name == "lora":
        encoder = PeftModel.from_pretrained(encoder, tmp_path)
    with torch.no_grad():
        inputs = encoded(tmp_path)
        hidden = encoder.eval()(**inputs).last_hidden_state
    mask = inputs["attention_mask"].unsqueeze(-1)
    hidden = (hidden * mask).sum(1) / mask.sum(1) if head_type == "mean" else hidden[:, 0]
    logits = torch.nn.functional.linear(hidden, head["weight"], head["bias"]).numpy()
    expected = predict(classifier, examples(classifier, 12), Protocol(max_tokens=32))
    np.testing.assert_allclose(logits, expected, atol=2e-5)
    assert json.loads((tmp_path / "labels.json").read_text()) == list(LABELS)
