"""Recomputed layers: the same losses and gradients, dropout included, from fewer activations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, SHARED, model_folder

from thriftune.cost.measured.memory import probe
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.pretrained.load import load_classifier

PROTOCOL = Protocol(batch_size=8, max_tokens=32)
INDICES = np.arange(8)
REFUSED = [("mpnet", "longest")]
"""transformers cannot recompute its layers."""


def step_of(kind: str, method: str, protocol: Protocol) -> Step:
    classifier = load_classifier(model_folder(kind), LABELS)
    find(method)().apply(classifier, torch.Generator().manual_seed(0))
    classifier.train_mode(frozen_dropout=True)
    return Step(classifier, examples(classifier, 16), protocol, build_optimizer(classifier, protocol.optimizer, 1e-3))


def loss_and_gradients(kind: str, method: str, protocol: Protocol) -> tuple[float, list[torch.Tensor | None]]:
    step = step_of(kind, method, protocol)
    torch.manual_seed(5)
    _, losses = step.forward(INDICES)
    loss = losses.sum()
    loss.backward()
    return loss.item(), [p.grad for p in step.parameters]


CASES = [(kind, padding) for kind in KINDS for padding in ("none", "longest") if (kind, padding) not in REFUSED]


@pytest.mark.parametrize(("kind", "padding"), [*CASES, *((kind, "none") for kind in SHARED)])
@pytest.mark.parametrize("method", ["full", "lora"])
def test_the_same_bits(kind: str, method: str, padding: str) -> None:
    protocol = replace(PROTOCOL, padding=padding)
    expected = loss_and_gradients(kind, method, protocol)
    found = loss_and_gradients(kind, method, replace(protocol, recompute="layers"))
    assert found[0] == expected[0]
    assert sum(gradient is not None for gradient in expected[1]) > 4
    for mine, theirs in zip(found[1], expected[1], strict=True):
        assert theirs is None or torch.equal(mine, theirs)


@pytest.mark.parametrize("padding", ["none", "longest"])
def test_fewer_activations(padding: str) -> None:
    protocol = replace(PROTOCOL, padding=padding)
    kept = probe(step_of("bert", "full", protocol), [INDICES])[1].activations
    fewer = probe(step_of("bert", "full", replace(protocol, recompute="layers")), [INDICES])[1].activations
    assert fewer < 0.7 * kept


def test_an_architecture_that_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertModel

    monkeypatch.setattr(BertModel, "supports_gradient_checkpointing", False)
    step_of("bert", "full", replace(PROTOCOL, recompute="layers"))
    with pytest.raises(InputError, match="recompute: none"):
        step_of("bert", "full", replace(PROTOCOL, recompute="layers", padding="longest"))
