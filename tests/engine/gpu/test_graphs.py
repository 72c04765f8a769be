"""Replayed steps against plain ones, with a recorder that does on a CPU what CUDA graphs do."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.gpu.tape import Tape, TapeRecorder
from tests.engine.reference import without_dropout
from tests.engine.test_packed import PACKED, made, with_prefix
from tests.engine.test_train import classifier as small_classifier
from tests.engine.test_train import train
from tests.tiny_data import examples
from torch import nn

from thriftune.engine.batches import training_batches
from thriftune.engine.gpu import graphs
from thriftune.engine.gpu.buckets import bucket_of
from thriftune.engine.gpu.graphs import GraphedSteps, steps_of, why_not
from thriftune.engine.gpu.precision import use_precision
from thriftune.engine.gpu.readings import Readings
from thriftune.engine.hooks import DivergedError
from thriftune.engine.protocol import OptimizerSettings, Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.engine.train import Fit
from thriftune.models.classifier import Classifier
from thriftune.models.device import pretend

# An epsilon far above the gradients makes AdamW linear in them, so that rounding is not blown up.
PROTOCOL = replace(PACKED, optimizer=OptimizerSettings(epsilon=1.0))
FITTED = Protocol(epochs=4, batch_size=8, max_tokens=32, optimizer=PROTOCOL.optimizer)
TEXTS, EPOCHS = 40, 8
RATE = 2.0**-7
"""A number that is the same in float32."""


@pytest.fixture(autouse=True)
def _gpu_code() -> Iterator[None]:
    with pretend("cuda"):
        yield


@pytest.fixture
def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses in float64."""

    def exact(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(logits, labels, reduction="none")

    monkeypatch.setattr("thriftune.engine.step.text_losses", exact)
    monkeypatch.setattr("thriftune.engine.gpu.graphs.text_losses", exact)


def step_of(
    kind: str,
    method: str,
    dropout: bool = False,
    protocol: Protocol = PROTOCOL,
    exact: bool = False,
    dtype: torch.dtype = torch.float64,
    head: Any = "own",
) -> Step:
    model = made(kind, method, dtype, head=head)
    if dropout:
        for module in model.network.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.1
    data = with_prefix(model, examples(model, TEXTS, max_tokens=48))
    step = Step(model, data, protocol, build_optimizer(model, protocol.optimizer, RATE))
    if exact:
        step.losses = step.losses.double()
    return step


def state_of(step: Step) -> list[torch.Tensor]:
    moments = [value for state in step.optimizer.state.values() for value in state.values()]
    return [t for t in (*step.classifier.network.parameters(), *moments, step.losses) if not t.is_meta]


def graphed(step: Step, refuse: str | None = None) -> tuple[GraphedSteps, TapeRecorder]:
    recorder = TapeRecorder(lambda: state_of(step), refuse)
    return GraphedSteps(step, recorder), recorder


def run(step: Step, steps: Any, epochs: int = EPOCHS) -> list[float]:
    """Trains for some epochs; returns each step's loss and correct texts."""
    torch.manual_seed(0)
    out: list[float] = []
    for epoch in range(epochs):
        groups = [[batch] for batch in training_batches(TEXTS, 6, 0, epoch)]
        rates = [RATE * (1 + index % 3) for index in range(len(groups))]
        for result in steps.epoch(groups, rates):
            out += [result.loss.item(), float(result.correct.item()), result.texts]
    return out


@pytest.mark.usefixtures("_exact")
@pytest.mark.parametrize(
    ("kind", "method", "head"),
    [
        ("bert", "full", "own"),
        ("bert", "head_only", "own"),
        ("bert", "full", "mean"),
        ("modernbert", "top_layers", "mean"),
        ("roberta", "lora", "own"),
        ("electra", "bitfit", "own"),
        ("distilbert", "lora top", "own"),
        ("deberta-v2", "full", "own"),
        ("deberta-v2", "lora top", "own"),
        ("deberta-v3", "lora", "own"),
        ("modernbert", "full", "own"),
        ("modernbert", "top_layers", "own"),
    ],
)
def test_replayed_steps_train_as_plain_ones(kind: str, method: str, head: str) -> None:
    plain, other = (step_of(kind, method, exact=True, head=head) for _ in range(2))
    steps, recorder = graphed(other)
    expected, found = run(plain, plain), run(other, steps)
    assert recorder.replays > 15
    assert recorder.recordings == steps.recorded
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    for mine, theirs in zip(state_of(other), state_of(plain), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)
    assert np.ptp(expected[::3]) > 1e-2


@pytest.mark.parametrize(
    ("method", "precision"), [("full", "fp32"), ("lora top", "fp32"), ("head_only", "fp32"), ("lora", "bf16")]
)
def test_recording_leaves_no_trace_in_weights_moments_and_random_numbers(method: str, precision: Any) -> None:
    """Bit for bit what eager steps give, with dropout."""
    protocol = replace(PROTOCOL, precision=precision)
    eager, replayed = (step_of("bert", method, True, protocol, dtype=torch.float32) for _ in range(2))
    without, never = graphed(eager, refuse="not here")
    steps, recorder = graphed(replayed)
    expected, found = run(eager, without), run(replayed, steps)
    assert never.replays == 0
    assert recorder.replays > 15
    assert found == expected
    for mine, theirs in zip(state_of(replayed), state_of(eager), strict=True):
        assert torch.equal(mine.nan_to_num(), theirs.nan_to_num())


def test_a_shape_is_recorded_when_it_comes_often() -> None:
    step = step_of("bert", "top_layers")
    steps, recorder = graphed(step)
    seen: dict[Any, int] = {}
    for epoch in range(EPOCHS):
        for batch in training_batches(TEXTS, 6, 0, epoch):
            bucket = bucket_of(step.examples.tokens.lengths[batch])
            seen[bucket] = seen.get(bucket, 0) + 1
    run(step, steps)
    often = [count for count in seen.values() if count >= graphs.RECORDED_VISIT]
    assert recorder.recordings == len(often) > 0
    assert recorder.replays == sum(count - graphs.RECORDED_VISIT + 1 for count in often)
    assert recorder.eager + recorder.replays == sum(seen.values())


def test_there_are_no_more_graphs_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "MOST_GRAPHS", 1)
    step = step_of("bert", "top_layers")
    steps, recorder = graphed(step)
    run(step, steps)
    assert recorder.recordings == steps.recorded == 1
    assert steps.notes() == []


def test_a_refusal_is_said_once_and_training_goes_on() -> None:
    plain, other = step_of("bert", "lora"), step_of("bert", "lora")
    steps, recorder = graphed(other, refuse="CUDA error: operation not permitted\nand more")
    np.testing.assert_allclose(run(other, steps), run(plain, plain), rtol=0, atol=1e-5)
    assert recorder.recordings == 1
    (note,) = steps.notes()
    assert note.endswith(": CUDA error: operation not permitted")


def test_random_numbers_of_the_host_are_not_frozen() -> None:
    """PEFT's LoKr and LoHa decide on the host which modules drop out."""
    plain, other = step_of("bert", "lora"), step_of("bert", "lora")
    steps, recorder = graphed(other)

    def record(work: Any) -> Any:
        torch.rand(1)
        return work

    recorder.record = record  # type: ignore[method-assign]
    expected = run(plain, plain)
    state = torch.get_rng_state()
    np.testing.assert_allclose(run(other, steps), expected, rtol=0, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), state)
    assert steps.recorded == 0
    assert "on the host" in steps.notes()[0]


def test_graphs_of_weights_that_moved_are_forgotten() -> None:
    step = step_of("bert", "lora")
    steps, _ = graphed(step)
    run(step, steps)
    before = dict(steps._replays)
    run(step, steps, epochs=1)
    assert before.items() <= steps._replays.items()
    weight = next(step.classifier.network.parameters())
    weight.data = weight.data.clone()
    run(step, steps, epochs=1)
    assert not set(before.values()) & set(steps._replays.values())
    assert steps.recorded > 0


def test_the_stand_in_refuses_what_a_graph_refuses() -> None:
    numbers = torch.arange(3.0)
    with pytest.raises(RuntimeError, match="not permitted"), Tape():
        numbers.sum().item()
    with pytest.raises(RuntimeError, match="not permitted"), Tape():
        _ = numbers[numbers > 1]
    with Tape():
        assert torch.tensor(4.0).sqrt().item() == 2


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"padding": "longest"}, "padded"),
        ({"accumulate": 2}, "several batches"),
        ({"recompute": "layers"}, "recomputed"),
        ({}, None),
    ],
)
def test_what_cannot_be_replayed_runs_plainly(change: dict[str, Any], reason: str | None) -> None:
    step = step_of("bert", "lora", protocol=replace(PROTOCOL, **change))
    assert (why_not(step, changed_between=False) is None) == (reason is None)
    assert reason is None or reason in (why_not(step, changed_between=False) or "")
    assert "after steps" in (why_not(step, changed_between=True) or "") or reason is not None
    if reason is not None:
        assert steps_of(step, changed_between=False) is step


def test_a_cpu_runs_plain_steps() -> None:
    step = step_of("bert", "lora")
    with pretend("cpu"):
        assert steps_of(step, changed_between=False) is step


class Late:
    """A number that arrives when it has been asked for so many times."""

    def __init__(self, number: torch.Tensor) -> None:
        self.number, self.asked = number.item(), 0

    def there(self) -> bool:
        self.asked += 1
        return self.asked > 5

    def value(self) -> float:
        return self.number


def fit_graphed(model: Classifier, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Fit, TapeRecorder]:
    """`fit` as on a GPU, with tapes for graphs and losses that arrive late."""
    made: list[TapeRecorder] = []

    def choose(step: Step, changed_between: bool) -> Any:
        made.append(TapeRecorder(lambda: state_of(step)))
        monkeypatch.setattr(graphs, "CudaGraphs", lambda device: made[0])
        return steps_of(step, changed_between)

    monkeypatch.setattr("thriftune.engine.loop.steps_of", choose)
    monkeypatch.setattr("thriftune.engine.loop.Readings", lambda: Readings(Late))
    return train(folder, model, FITTED, rate=RATE), made[0]


def still() -> Classifier:
    model = small_classifier("top_layers")
    without_dropout(model.network)
    return model


def test_fit_trains_with_replayed_steps_and_reads_losses_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pretend("cpu"):
        expected = train(tmp_path, still(), FITTED, rate=RATE)
    found, recorder = fit_graphed(still(), tmp_path, monkeypatch)
    assert recorder.replays > 5
    assert [(p.step, p.epoch, p.learning_rate) for p in found.steps] == [
        (p.step, p.epoch, p.learning_rate) for p in expected.steps
    ]
    np.testing.assert_allclose([p.loss for p in found.steps], [p.loss for p in expected.steps], rtol=1e-4)
    assert [p.train_accuracy for p in found.epochs] == [p.train_accuracy for p in expected.epochs]
    assert found.texts == expected.texts
    assert found.notes == []


def test_divergence_is_an_error_though_it_is_read_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = still()
    with torch.no_grad():
        next(iter(model.head_modules[0].parameters())).fill_(math.nan)
    with pytest.raises(DivergedError, match="became nan by step 1;"):
        fit_graphed(model, tmp_path, monkeypatch)


def test_numbers_are_read_in_order_and_when_they_are_there() -> None:
    seen: list[float] = []
    readings = Readings(Late)
    for number in (1.0, 2.0, 3.0):
        readings.ask(torch.tensor(number), seen.append)
    assert seen == []
    readings.take()
    readings.take()
    readings.take()
    assert seen == [1.0]
    readings.take(wait=True)
    assert seen == [1.0, 2.0, 3.0]
    here = Readings()
    here.ask(torch.tensor(4.0), seen.append)
    assert seen[-1] == 4.0


def test_float32_is_float32_unless_asked_otherwise() -> None:
    flags = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        for precision in ("tf32", "fp32", "bf16"):
            use_precision(Protocol(precision=precision))
            assert torch.backends.cuda.matmul.allow_tf32 == (precision == "tf32")
            assert torch.backends.cudnn.allow_tf32 == (precision == "tf32")
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags
