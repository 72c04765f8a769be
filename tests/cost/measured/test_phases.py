"""Where a step's seconds go: what is timed, what adds up, and that no trace is left."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, SHARED, model_folder
from torch.utils._python_dispatch import TorchDispatchMode

from thriftune.cost.measured import phases
from thriftune.cost.measured.meter import CostMeter, of_allocated
from thriftune.cost.measured.phases import probe_seconds
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.methods import find
from thriftune.models.pretrained.load import load_classifier
from thriftune.results.cost import Memory

PROTOCOL = Protocol(batch_size=8, max_tokens=32)


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phases, "ROUNDS", (2, 2))


def step_of(kind: str, method: str, protocol: Protocol = PROTOCOL, **settings: Any) -> Step:
    classifier = load_classifier(model_folder(kind), LABELS)
    find(method)(**find(method).prepare(settings)).apply(classifier, torch.Generator().manual_seed(0))
    classifier.train_mode(False)
    optimizer = build_optimizer(classifier, protocol.optimizer, 1e-3)
    return Step(classifier, examples(classifier, 16), protocol, optimizer)


CASES = [
    *((method, kind) for method in ("full", "top_layers", "lora", "lora_fa", "head_only") for kind in KINDS),
    *((method, SHARED[0]) for method in ("full", "lora", "head_only")),
]


@pytest.mark.parametrize(("method", "kind"), CASES)
def test_parts_add_up_and_no_trace_is_left(method: str, kind: str) -> None:
    step = step_of(kind, method)
    trained = [name for name, _ in step.classifier.trained()]
    before = [p.detach().clone() for p in step.parameters]
    random = torch.get_rng_state()
    seconds, passes = probe_seconds(step, [np.arange(8)])
    assert min(vars(seconds).values()) > 0
    assert passes is not None
    assert sum(vars(passes).values()) == pytest.approx(seconds.forward + seconds.backward)
    assert passes.head > 0
    if method == "head_only":
        assert (passes.reach, passes.own) == (0.0, 0.0)
    assert [name for name, _ in step.classifier.trained()] == trained
    assert all(torch.equal(a, b) for a, b in zip(before, step.parameters, strict=True))
    assert torch.equal(random, torch.get_rng_state())
    assert not step.optimizer.state
    assert all(p.grad is None for p in step.classifier.root.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "settings"), [("full", {}), ("top_layers", {"layers": 2}), ("lora", {})])
def test_without_the_method_gradients_still_reach_its_lowest_layer(
    kind: str, method: str, settings: dict[str, Any]
) -> None:
    """The cheap parameter that pulls them there is in the lowest trained layer (or the embeddings), and no adapter."""
    step = step_of(kind, method, **settings)
    classifier = step.classifier
    depth = phases._depth(classifier)
    assert depth is not None
    (anchor,) = depth
    names = {id(p): name for name, p in classifier.encoder.named_parameters()}
    lowest = classifier.encoder if classifier.cut is None else classifier.layers[classifier.cut]
    assert any(p is anchor for p in lowest.parameters())
    assert "lora" not in names[id(anchor)]
    with phases._without_method(classifier, depth):
        active = {name for name, _ in classifier.trained()}
        step.forward(np.arange(8))[1].sum().backward()
        assert anchor.grad is not None
        assert anchor.grad.abs().sum() > 0
    head = {id(p) for module in classifier.head_modules for p in module.parameters()}
    assert len(active) == 1 + sum(id(p) in head for _, p in classifier.trained())


def test_adapters_are_off_without_the_method() -> None:
    step = step_of("bert", "lora")
    with torch.no_grad():
        for name, parameter in step.classifier.trained():
            if "lora_B" in name:
                parameter.normal_()
    step.classifier.eval_mode()
    adapted, _ = step.forward(np.arange(4))
    with phases._without_method(step.classifier, []):
        plain, _ = step.forward(np.arange(4))
    again, _ = step.forward(np.arange(4))
    assert not torch.allclose(adapted, plain)
    torch.testing.assert_close(adapted, again)


class _Operators(TorchDispatchMode):
    """Notes the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("kind", KINDS)
def test_without_the_method_layers_run_as_frozen_layers_do(kind: str) -> None:
    """An adapter that is off costs nothing: else its method would be charged too little, the layers too much."""
    adapted = step_of(kind, "lora")
    plain = step_of(kind, "top_layers", layers=len(adapted.classifier.layers))
    found = []
    for step in (adapted, plain):
        with phases._without_method(step.classifier, []), _Operators() as operators:
            step.forward(np.arange(8))
        found.append(operators.names)
    assert found[0] == found[1]


def test_reach_and_own_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that counts weight-gradient and input-gradient work by hand instead of seconds."""
    step = step_of("bert", "lora")
    calls: list[str] = []
    monkeypatch.setattr(
        phases, "_phases", lambda *_: {"data": 1.0, "forward": 11.0, "backward": 20.0, "optimizer": 2.0}
    )
    monkeypatch.setattr(phases, "_passes", lambda *_: calls.append("x") or {"head": 13.0, "reach": 12.0})
    seconds, passes = probe_seconds(step, [np.arange(8)])
    assert (seconds.data, seconds.optimizer) == (1.0, 2.0)
    assert passes is not None
    assert (passes.head, passes.reach, passes.own) == (12.0, 12.0, 6.0)
    assert len(calls) == phases.ROUNDS[1]


@pytest.mark.parametrize(("steps", "rounds"), [(None, 6), (1000, 6), (20, 4), (1, 2)])
def test_a_short_training_is_probed_for_a_twentieth_of_its_steps(
    steps: int | None, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock on which a round takes half a second, and a step two."""
    found: list[str] = []
    monkeypatch.setattr(phases, "ROUNDS", (2, 9))
    monkeypatch.setattr(phases.time, "perf_counter", lambda: 0.5 * len(found))
    monkeypatch.setattr(phases, "_passes", lambda *_: found.append("x") or {"head": 0.6, "reach": 0.2})
    monkeypatch.setattr(phases, "_phases", lambda *_: {"data": 0.1, "forward": 1.0, "backward": 0.9, "optimizer": 0.1})
    probe_seconds(step_of("bert", "lora"), [np.arange(8)], steps)
    assert len(found) == rounds


def test_a_method_that_changes_the_input_has_no_passes_without_it() -> None:
    protocol = Protocol(batch_size=8, max_tokens=32, padding="longest")
    step = step_of("bert", "peft", protocol, type="PROMPT_TUNING", num_virtual_tokens=4)
    seconds, passes = probe_seconds(step, [np.arange(8)])
    assert passes is None
    assert seconds.backward > 0


def test_a_gpus_peak_is_told_apart_by_what_the_probe_saw() -> None:
    parts = Memory(weights=100, gradients=20, optimizer=40, activations=300, cache=0, other=7)
    found = of_allocated(parts, 512)
    assert found is not None
    assert found.other == 512 - 460
    assert sum(vars(found).values()) == 512
    assert of_allocated(parts, 400) is None


def test_the_meter_keeps_the_first_candidates_seconds_and_the_largest_peak() -> None:
    step = step_of("bert", "lora")
    meter = CostMeter(step.examples.tokens.lengths, 0)
    assert meter.memory is None
    meter.train_started(step)
    first, peak = meter.step_seconds, meter.peak_memory_bytes
    assert meter.memory is not None
    assert sum(vars(meter.memory).values()) == peak
    meter.train_started(step_of("bert", "full"))
    assert meter.step_seconds is first
    assert meter.peak_memory_bytes > peak
    assert sum(vars(meter.memory).values()) == meter.peak_memory_bytes
