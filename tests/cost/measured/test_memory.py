"""Live bytes against numbers known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, model_folder
from torch import nn

from thriftune.cost.measured.memory import LiveBytes, probe
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.methods import find
from thriftune.models.pretrained.load import load_classifier

FLOAT = 4


def test_storages_count_once_and_leave_when_they_die() -> None:
    with LiveBytes() as counter:
        one = torch.zeros(1000)
        view = one[10:]
        assert counter.current == 1000 * FLOAT
        two = one + 1
        assert counter.current == 2000 * FLOAT
        del two
        assert counter.current == 1000 * FLOAT
        del one
        assert counter.current == 1000 * FLOAT, "a view keeps its storage alive"
        del view
    assert counter.current == 0
    assert counter.peak == 2000 * FLOAT


def test_tensors_from_before_count_when_added() -> None:
    weight = torch.zeros(500)
    counter = LiveBytes()
    counter.add([weight, weight[:10]])
    assert counter.current == 500 * FLOAT


def test_backward_of_a_chain_peaks_at_its_saved_activations() -> None:
    """Ten sigmoids of n floats each save their output: at the start of backward 10 n are alive, and a gradient."""
    n = 10_000
    start = torch.zeros(n, requires_grad=True)
    counter = LiveBytes()
    counter.add([start])
    with counter:
        out = start
        for _ in range(10):
            out = out.sigmoid()
        out.sum().backward()
    assert 11 * n * FLOAT <= counter.peak <= 14 * n * FLOAT


def step_of(kind: str, method: str) -> Step:
    classifier = load_classifier(model_folder(kind), LABELS)
    find(method)().apply(classifier, torch.Generator().manual_seed(0))
    classifier.train_mode(False)
    protocol = Protocol(batch_size=8, max_tokens=32)
    optimizer = build_optimizer(classifier, protocol.optimizer, 1e-3)
    return Step(classifier, examples(classifier, 16), protocol, optimizer)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["full", "lora", "head_only"])
def test_parts_add_up_to_the_peak_and_the_known_parts_are_exact(kind: str, method: str) -> None:
    step = step_of(kind, method)
    peak, memory = probe(step, [np.arange(8)])
    parts = (memory.weights, memory.gradients, memory.optimizer, memory.activations, memory.cache, memory.other)
    assert sum(parts) == peak
    tensors = [*step.classifier.network.parameters(), *step.classifier.network.buffers()]
    storages = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in tensors}
    assert memory.weights == sum(storages.values())
    trained = sum(p.numel() for p in step.parameters)
    assert memory.optimizer == 2 * trained * FLOAT + FLOAT * len(step.parameters), "two moments and a step counter"
    assert memory.activations > 0


def test_a_probe_leaves_no_trace() -> None:
    step = step_of("bert", "full")
    before = [p.detach().clone() for p in step.parameters]
    random = torch.get_rng_state()
    probe(step, [np.arange(8)])
    assert all(torch.equal(a, b) for a, b in zip(before, step.parameters, strict=True))
    assert torch.equal(random, torch.get_rng_state())
    assert not step.optimizer.state
    assert all(p.grad is None for p in step.parameters)


def test_deeper_training_needs_more_memory() -> None:
    peaks = [probe(step_of("bert", method), [np.arange(8)])[0] for method in ("head_only", "top_layers", "full")]
    assert peaks == sorted(peaks)
    assert peaks[0] < peaks[-1]


def test_lora_fa_keeps_one_input_a_layer_less_than_lora() -> None:
    """Query and value share the input that LoRA saves.

    Both keep the last layer's, which attends to its rows themselves, and one more may be gone at the peak.
    """
    steps = [step_of("bert", method) for method in ("lora", "lora_fa")]
    (lora_peak, lora), (frozen_peak, frozen) = (probe(step, [np.arange(8)]) for step in steps)
    tokens = int(steps[0].examples.tokens.lengths[:8].sum())
    layers, one = len(steps[0].classifier.layers), tokens * steps[0].classifier.config.hidden_size * FLOAT
    assert (layers - 2) * one <= lora_peak - frozen_peak <= layers * one
    assert frozen.optimizer < lora.optimizer


def test_counter_sees_modules() -> None:
    linear = nn.Linear(100, 100)
    counter = LiveBytes()
    counter.add(linear.parameters())
    assert counter.current == (100 * 100 + 100) * FLOAT
