"""Estimates against what the same cells measure: memory, parameters and stored bytes."""

from __future__ import annotations

import itertools
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, SHARED, model_folder

from thriftune.cost.measured.memory import probe
from thriftune.cost.predicted.estimate import Case, Estimate, NoEstimateError, estimate, peak_bytes
from thriftune.cost.predicted.work import CountWork
from thriftune.engine.batches import typical_batch, widest_batch
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.pretrained.sources import resolve_model
from thriftune.models.trained.save import delta_bytes, save_classifier
from thriftune.results.cost import Memory

CONFIGS = Path(__file__).parent / "configs"
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "top_layers": ("top_layers", {"layers": 1}),
    "lora": ("lora", {}),
    "lora top": ("lora", {"layers": "top 1"}),
    "head_only": ("head_only", {}),
    "bitfit": ("bitfit", {}),
}
PADDINGS = ("none", "longest", "max")
SPREAD = [
    (kind, list(METHODS)[(index + offset) % 5], (4, 32)[(index + offset) % 2], PADDINGS[(index + 2 * offset) % 3])
    for index, kind in enumerate(KINDS)
    for offset in range(2)
]
"""Every family and padding, and most methods, in few cells; the slow test has them all."""
SWEEP = [
    cell
    for cell in itertools.product(KINDS, METHODS, (4, 32), PADDINGS)
    if cell[:2] != ("modernbert", "bitfit")  # it has no biases
]


@dataclass(frozen=True)
class Measured:
    """What a cell measures, and what it is estimated at."""

    peak: int
    memory: Memory
    estimate: Estimate


def both(
    folder: Path, method: str, batch: int, padding: Any, prefixes: Path, head: HeadSettings | None = None
) -> Measured:
    name, settings = METHODS[method]
    protocol = Protocol(batch_size=batch, max_tokens=32, padding=padding, epochs=2)
    classifier = load_classifier(folder, LABELS, head)
    find(name)(**settings).apply(classifier, torch.Generator().manual_seed(0))
    split = examples(classifier, 64)
    lengths = np.asarray(split.tokens.lengths)
    trained = run_prefix(classifier, {"train": split}, protocol, PrefixCache(prefixes))["train"]
    classifier.train_mode(False)
    step = Step(classifier, trained, protocol, build_optimizer(classifier, protocol.optimizer, 1e-3))
    widest = widest_batch(lengths, protocol, 0)
    peak, memory = probe(step, [widest])
    cell = Case(
        folder, find(name)(**settings), protocol, tuple(int(n) for n in lengths[widest]), head or HeadSettings(), 3
    )
    return Measured(peak, memory, estimate(cell))


ONE_SET_OF_WEIGHTS = [
    (SHARED[0], "full", 4, "none"),
    (SHARED[0], "lora", 4, "longest"),
    (SHARED[1], "head_only", 32, "none"),
]


@pytest.mark.parametrize(("kind", "method", "batch", "padding"), [*SPREAD, *ONE_SET_OF_WEIGHTS])
def test_memory_is_predicted(kind: str, method: str, batch: int, padding: str, tmp_path: Path) -> None:
    found = both(model_folder(kind), method, batch, padding, tmp_path)
    assert found.estimate.peak_memory_bytes == pytest.approx(found.peak, rel=0.05)
    assert found.estimate.memory.weights == found.memory.weights
    assert found.estimate.memory.optimizer == found.memory.optimizer


@pytest.mark.parametrize(
    ("kind", "method", "padding"),
    [
        ("bert", "head_only", "none"),
        ("roberta", "top_layers", "none"),
        ("modernbert", "full", "none"),
        ("distilbert", "lora", "longest"),
        ("deberta-v3", "head_only", "longest"),
    ],
)
def test_memory_of_a_mean_head_is_predicted(kind: str, method: str, padding: str, tmp_path: Path) -> None:
    found = both(model_folder(kind), method, 8, padding, tmp_path, HeadSettings(type="mean"))
    assert found.estimate.peak_memory_bytes == pytest.approx(found.peak, rel=0.05)
    assert found.estimate.memory.weights == found.memory.weights


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "method", "batch", "padding"), SWEEP)
def test_memory_is_predicted_everywhere(kind: str, method: str, batch: int, padding: str, tmp_path: Path) -> None:
    found = both(model_folder(kind), method, batch, padding, tmp_path)
    assert found.estimate.peak_memory_bytes == pytest.approx(found.peak, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("method", METHODS)
def test_memory_of_a_real_size_is_predicted(method: str, padding: str, tmp_path: Path) -> None:
    minilm = resolve_model("demo:minilm")
    found = both(minilm, method, 32, padding, tmp_path)
    assert found.estimate.peak_memory_bytes == pytest.approx(found.peak, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("method", "head"), [("full", "own"), ("lora", "own"), ("full", "linear"), ("lora", "mean")])
def test_parameters_and_stored_bytes_are_exact(kind: str, method: str, head: Any, tmp_path: Path) -> None:
    folder, settings = model_folder(kind), HeadSettings(type=head)
    classifier = load_classifier(folder, LABELS, settings)
    chosen = find(METHODS[method][0])()
    chosen.apply(classifier, torch.Generator().manual_seed(0))
    found = estimate(Case(folder, chosen, Protocol(batch_size=2), (5, 4), settings, 3))
    counts = classifier.counts()
    assert found.stored_bytes == save_classifier(classifier, tmp_path)
    assert found.delta_bytes == delta_bytes(classifier)
    assert (found.trained_parameters, found.head_parameters) == (counts.trained, counts.head)
    assert found.total_parameters == counts.total


def test_work_without_data_is_that_of_the_real_step() -> None:
    protocol = Protocol(batch_size=8, max_tokens=32)
    classifier = load_classifier(model_folder("bert"), LABELS)
    find("lora")().apply(classifier, torch.Generator().manual_seed(0))
    split = examples(classifier, 8)
    classifier.train_mode(False)
    step = Step(classifier, split, protocol, build_optimizer(classifier, protocol.optimizer, 1e-3))
    step([np.arange(8)], 0.0)
    with CountWork() as counter:
        step([np.arange(8)], 0.0)
    lengths = tuple(int(n) for n in split.tokens.lengths)
    found = estimate(Case(model_folder("bert"), find("lora")(), protocol, lengths, classes=3))
    assert found.work.flops == counter.work.flops
    assert sum(found.work.moved.values()) == pytest.approx(sum(counter.work.moved.values()), rel=0.02)


def test_flops_of_a_linear_head_by_hand() -> None:
    """Frozen layers run once: a step multiplies by the classifier, forward and for its weight's gradient."""
    found = estimate(
        Case(model_folder("bert"), find("head_only")(), Protocol(batch_size=2), (9, 7), HeadSettings(type="linear"), 3)
    )
    assert found.flops_per_sample == 2 * 2 * 32 * 3
    assert found.prefix_flops_per_sample > found.flops_per_sample


def test_a_padded_estimate_needs_no_more_than_a_configuration(tmp_path: Path) -> None:
    source = model_folder("bert") / "config.json"
    (tmp_path / "config.json").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    protocol = Protocol(batch_size=4, max_tokens=32, padding="max")
    found = [estimate(Case(folder, find("lora")(), protocol, (9, 8, 7, 6))) for folder in (tmp_path, source.parent)]
    assert found[0] == found[1]


def test_the_peak_alone_is_the_same() -> None:
    cell = Case(model_folder("distilbert"), find("lora")(), Protocol(batch_size=4), (20, 9, 8, 7))
    assert peak_bytes(cell) == estimate(cell).peak_memory_bytes


def test_a_prefix_that_does_not_fit_runs_in_every_step() -> None:
    cell = Case(model_folder("bert"), find("top_layers")(layers=1), Protocol(batch_size=2), (9, 7))
    huge = Case(cell.model, cell.method, cell.protocol, cell.lengths, tokens=10**12)
    assert estimate(cell).memory.weights < estimate(huge).memory.weights
    assert estimate(huge).prefix_work.flops == 0


def test_an_ordinary_batch_is_near_the_mean() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 640)
    protocol = Protocol(batch_size=32)
    batch = typical_batch(lengths, protocol, 0)
    assert len(batch) == 32
    assert lengths[batch].mean() == pytest.approx(lengths.mean(), rel=0.05)


def test_a_model_without_layers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert", "num_hidden_layers": 0}', encoding="utf-8")
    with pytest.raises(InputError, match="num_hidden_layers: 0 is given"):
        estimate(Case(tmp_path, find("head_only")(), Protocol(batch_size=2), (9, 7)))


def test_a_step_that_looks_at_values_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def looks(self: Any, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum().item() > 0 else -x

    monkeypatch.setattr(torch.nn.LayerNorm, "forward", looks)
    with pytest.raises(NoEstimateError, match="looks at values"):
        estimate(Case(model_folder("bert"), find("full")(), Protocol(batch_size=2), (9, 7)))


DECODER = """
import resource, sys, time
from pathlib import Path
from thriftune.cost.predicted.cuda import GPUS
from thriftune.cost.predicted.estimate import Case, estimate
from thriftune.engine.protocol import Protocol
from thriftune.methods import find
started = time.perf_counter()
lengths, protocol = (256,) * 4, Protocol(batch_size=4, padding="max")
found = estimate(Case(Path(sys.argv[1]), find("lora")(), protocol, lengths, gpu=GPUS["h100"]))
print(found.total_parameters, time.perf_counter() - started, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("model", "parameters"), [("llama-7b", 6.6e9), ("deberta-v2-xxlarge", 1.57e9)])
def test_large_models_are_estimated_in_little_time_and_memory(model: str, parameters: float) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", DECODER, str(CONFIGS / model)],
        capture_output=True,
        text=True,
        check=True,
    )
    total, seconds, resident = (float(value) for value in done.stdout.split())
    assert total == pytest.approx(parameters, rel=0.02)
    assert seconds <= 30
    assert resident <= 1.5e9
