"""What a head's last Linear reads, on every architecture."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, GUESSED, KINDS, model_folder

from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.sides import settle_side
from thriftune.engine.solved.features import features_of, is_all, last_linear
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier

PROTOCOL = Protocol(max_tokens=32)


def made(kind: str, head: str = "own", method: str = "head_only", **settings: Any) -> Classifier:
    classifier = load_classifier(model_folder(kind), LABELS, HeadSettings(type=head))
    kind_of = find(method)
    kind_of(**kind_of.prepare(settings)).apply(classifier, torch.Generator().manual_seed(0))
    return classifier


def check(classifier: Classifier, padding: Any = "none") -> None:
    """The Linear on the features gives the logits."""
    protocol = Protocol(max_tokens=32, padding=padding)
    texts = examples(classifier, 21)
    settle_side(classifier, texts.tokens, protocol)
    linear = last_linear(classifier)
    features = features_of(classifier, linear, texts, protocol)
    with torch.no_grad():
        logits = linear(features).numpy()
    assert np.abs(logits - predict(classifier, texts, protocol)).max() < 1e-5
    assert not linear._forward_hooks


@pytest.mark.parametrize("kind", [*KINDS, *FURTHER, *GUESSED])
def test_own_heads(kind: str) -> None:
    check(made(kind))


@pytest.mark.parametrize("padding", ["none", "longest"])
@pytest.mark.parametrize("head", ["linear", "mean"])
@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_bare_heads(kind: str, head: str, padding: str) -> None:
    classifier = made(kind, head)
    assert is_all(classifier, last_linear(classifier))
    check(classifier, padding)


@pytest.mark.parametrize(
    ("method", "settings", "head"),
    [
        ("lora", {}, "own"),
        ("lora", {}, "mean"),
        ("full", {}, "own"),
        ("top_layers", {"layers": 1}, "mean"),
        ("peft", {"type": "PROMPT_TUNING", "num_virtual_tokens": 4}, "own"),
    ],
)
def test_the_copy_that_is_trained_is_found(method: str, settings: dict[str, Any], head: str) -> None:
    classifier = made("bert", head, method, **settings)
    assert last_linear(classifier).weight.requires_grad
    assert not is_all(classifier, last_linear(classifier))
    check(classifier, "longest" if method == "peft" else "none")


def test_a_pooler_is_more_than_the_last_linear() -> None:
    classifier = made("bert")
    assert not is_all(classifier, last_linear(classifier))


def test_a_head_without_such_a_linear_is_refused() -> None:
    classifier = made("bert")
    classifier.network.classifier = torch.nn.Sequential(torch.nn.Linear(32, 3), torch.nn.Tanh())
    with pytest.raises(InputError, match=r"head_start solved needs a head whose trained last Linear .* random"):
        features_of(classifier, last_linear(classifier), examples(classifier, 3), PROTOCOL)
    classifier.network.requires_grad_(False)
    with pytest.raises(InputError, match="head_start solved"):
        last_linear(classifier)
