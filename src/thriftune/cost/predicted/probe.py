"""Times a few steps of a small random encoder: how fast this machine is at what a step consists of."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch

from thriftune.cost.predicted.machine import Machine, Timed, fit
from thriftune.cost.predicted.work import CountWork, is_free, operator_name
from thriftune.data.tokens import Tokens
from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.hooks import Hook
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.engine.train import Task
from thriftune.engine.train import fit as train
from thriftune.methods import find
from thriftune.methods.base import TransformerMethod
from thriftune.models.device import synchronize
from thriftune.models.pretrained.load import skeleton

HEAD_SIZE = 32
LAYERS = 2
VOCABULARY = 8192
TEXTS, LONGEST, MAX_TOKENS = 32, 60, 128
Wanted = tuple[tuple[str, dict[str, Any], tuple[tuple[Literal["none", "longest", "max"], int], ...]], ...]
POINTS: Wanted = (
    ("full", {}, (("none", 4), ("none", 32), ("longest", 16))),
    ("lora", {}, (("none", 32), ("max", 8))),
    ("top_layers", {"layers": 1}, (("none", 8), ("none", 32))),
    ("head_only", {}, (("none", 32),)),
)
"""Methods whose steps are timed, with paddings and texts: from all arithmetic to all overhead."""
QUICK: Wanted = (
    ("full", {}, (("none", 4), ("none", 32))),
    ("top_layers", {"layers": 1}, (("none", 32),)),
    ("head_only", {}, (("none", 32),)),
)
"""Those of a quick probe: enough to tell minutes from hours."""
FULL_WIDTH = 512
"""Wider models get as many texts less, so that the probe is not longer."""
RATE = 1e-5
ENOUGH_SECONDS = 9.0
"""After so long no further round starts."""
STEP_SECONDS = 0.2
"""How long each of the steps is repeated in a round."""
QUICK_ROUNDS, QUICK_STEP_SECONDS = 3, 0.1
"""Rounds of a quick probe, and how long each of its steps is repeated in one."""
LOOP_BATCH, LOOP_EPOCHS = 4, 6
"""Texts of a step, and epochs, of the training that shows what the loop adds to its steps."""


@dataclass(frozen=True)
class _Point:
    """A step that is timed, always on the same texts."""

    step: Step
    batch: np.ndarray

    def run(self) -> None:
        self.step([self.batch], RATE)

    def seconds(self) -> float:
        """Of one step, the device's included."""
        device = self.step.classifier.device
        synchronize(device)
        started = time.perf_counter()
        self.run()
        synchronize(device)
        return time.perf_counter() - started


def probe_machine(device: str, hidden: int, quick: bool = False) -> Machine:
    """Times a few steps of a small random encoder of some hidden size, in about fifteen seconds; no data is read.

    `quick`: fewer steps, in a few seconds, and nothing of the training loop; rougher. So few are timed that medians
    count, which a moment of standstill does not move.
    """
    keep_freed_memory()
    place = torch.device(device)
    with TemporaryDirectory(prefix="thriftune-probe-") as name, torch.random.fork_rng(devices=[]):
        points = _points(Path(name), place, hidden, QUICK if quick else POINTS)
        found = _time(points, place, quick)
        loop = 0.0 if quick else _loop_seconds(points[-1].step, Path(name))
    return fit(found, loop)


class TimeWork(CountWork):
    """Adds up, beside the work, the seconds that each operator takes; the device is waited for after each."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.seconds: dict[str, float] = defaultdict(float)
        self._device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and adds its work and time."""
        if is_free(func):
            return func(*args, **(kwargs or {}))
        started = time.perf_counter()
        out = func(*args, **(kwargs or {}))
        synchronize(self._device)
        self.seconds[operator_name(func)] += time.perf_counter() - started
        self.add(func, args, kwargs, out)
        return out


def _points(folder: Path, device: torch.device, hidden: int, wanted: Wanted) -> list[_Point]:
    """The steps that are wanted; those of one method share a model and its texts."""
    _write_config(folder, hidden)
    points = []
    for name, settings, batches in wanted:
        classifier = skeleton(folder, ("a", "b", "c"), device="cpu")
        method = find(name)(**settings)
        assert isinstance(method, TransformerMethod)
        method.apply(classifier, torch.Generator().manual_seed(0))
        classifier.network.to(device)
        protocol = Protocol(max_tokens=MAX_TOKENS, epochs=LOOP_EPOCHS, keep="last")
        examples = run_prefix(classifier, {"train": _texts()}, protocol, PrefixCache(None))["train"]
        classifier.train_mode(False)
        optimizer = build_optimizer(classifier, protocol.optimizer, RATE)
        for padding, texts in batches:
            step = Step(classifier, examples, replace(protocol, padding=padding), optimizer)
            points.append(_Point(step, np.arange(max(2, texts * FULL_WIDTH // max(hidden, FULL_WIDTH)))))
    return points


def _time(points: list[_Point], device: torch.device, quick: bool) -> list[Timed]:
    """Times each step by operator and as a whole, round by round, so that a slow moment meets all of them.

    Of an operator the mean counts; in a quick probe the median, and of a step too.
    """
    found = _counted(points)
    rounds: list[list[dict[str, float]]] = [[] for _ in points]
    started = time.perf_counter()
    while not rounds[0] or (len(rounds[0]) < QUICK_ROUNDS if quick else time.perf_counter() - started < ENOUGH_SECONDS):
        for point, each, seen in zip(points, found, rounds, strict=True):
            with TimeWork(device) as timer:
                point.run()
            seen.append(timer.seconds)
            until = time.perf_counter() + (QUICK_STEP_SECONDS if quick else STEP_SECONDS)
            each.steps.append(point.seconds())
            while time.perf_counter() < until:
                each.steps.append(point.seconds())
    middle = np.median if quick else np.mean
    for each, seen in zip(found, rounds, strict=True):
        each.operators = {name: float(middle([times[name] for times in seen])) for name in seen[0]}
        each.steps = [float(np.median(each.steps))] if quick else each.steps
    return found


def _counted(points: list[_Point]) -> list[Timed]:
    """The work of each step, nothing timed yet."""
    found = []
    for point in points:
        point.step([point.batch[:1]], RATE)  # what happens once only is no work of a step
        with CountWork() as counter:
            point.run()
        found.append(Timed(counter.work, defaultdict(float), []))
    return found


def _loop_seconds(step: Step, folder: Path) -> float:
    """What the training loop adds to each step: of a short training that is nearly all overhead, less its steps."""
    protocol = replace(step.protocol, batch_size=LOOP_BATCH)
    watch = _Epochs()
    train(Task(step.classifier, step.examples, None, protocol, RATE, 0, folder / "best"), [watch])
    points = [_Point(step, batch) for batch in training_batches(TEXTS, LOOP_BATCH, 0, 0)]
    alone = [sum(point.seconds() for point in points) for _ in watch.seconds]
    return max(0.0, min(watch.seconds) - min(alone)) / len(points)


class _Epochs(Hook):
    """Keeps the seconds of each epoch's steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def steps_done(self, seconds: float) -> None:
        """Adds an epoch."""
        self.seconds.append(seconds)


def _texts() -> Examples:
    """Texts whose lengths fall from the longest to a quarter of it."""
    lengths = np.linspace(LONGEST, LONGEST // 4, TEXTS).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.arange(offsets[-1], dtype=np.int32) % VOCABULARY
    return Examples(Tokens(ids, np.zeros(len(ids), dtype=np.uint8), offsets, 0), np.arange(TEXTS) % 3)


def _write_config(folder: Path, hidden: int) -> None:
    from transformers import BertConfig

    BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=LAYERS,
        num_attention_heads=max(1, hidden // HEAD_SIZE),
        intermediate_size=4 * hidden,
    ).save_pretrained(folder)
