"""Predicts what a study's runs will cost, before anything is loaded."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thriftune.cost.measured.busy import NOTICED
from thriftune.cost.measured.environment import environment
from thriftune.errors import InputError
from thriftune.folders import cache_folder
from thriftune.methods.base import TransformerMethod
from thriftune.processors import ProcessorTime
from thriftune.results.prediction import Prediction
from thriftune.study.file.plan import PlannedRun
from thriftune.study.forecast.effort import effort
from thriftune.study.run.head_start import NO_STEPS
from thriftune.study.run.job import Job, first_line

if TYPE_CHECKING:
    from thriftune.cost.predicted.cuda import Gpu
    from thriftune.cost.predicted.estimate import Cell, Estimate
    from thriftune.cost.predicted.machine import Machine

NO_RECORD = "this machine was not probed; thriftune estimate does it"
TIMES = ("train_seconds", "prefix_seconds", "samples_per_second")
WITHOUT_DATA = "without data the number of training texts is not known"


def cell_of(
    run: PlannedRun,
    folder: Path,
    lengths: np.ndarray,
    classes: int,
    gpu: Gpu | None,
    words: int | None = None,
    rows: tuple[int, int] = (0, 0),
) -> Cell:
    """A run of a study as an estimate takes it; `lengths` are the tokens of its training texts, (texts,).

    `words`: distinct token ids of its training and validation texts, `rows`: how many of both there are, where they
    are known.
    """
    from thriftune.cost.predicted.estimate import Cell
    from thriftune.engine.batches import typical_batch, widest_batch

    assert isinstance(run.method, TransformerMethod)
    widest = lengths[widest_batch(lengths, run.protocol, run.seed)]
    typical = lengths[typical_batch(lengths, run.protocol, run.seed)]
    return Cell(
        model=folder,
        method=run.method,
        protocol=run.protocol,
        lengths=tuple(int(length) for length in widest),
        head=run.head,
        classes=classes,
        gpu=gpu,
        typical=tuple(int(length) for length in typical),
        tokens=int(lengths.sum()),
        words=words,
        texts=rows[0],
        validation=rows[1],
    )


def prediction(
    found: Estimate, run: PlannedRun, texts: int | None, machine: Machine | None, reason: str = NO_RECORD
) -> Prediction:
    """An estimate with the times that a machine takes for it.

    `texts`: how many training texts there are; without them, or without a machine, times are unknown, and
    `reason` says why. With `epochs: auto` the samples that the time is for are a guess.
    """
    assert isinstance(run.method, TransformerMethod)
    times: dict[str, float | None] = dict.fromkeys(TIMES)
    samples: float | None = None
    reasons: dict[str, str] = dict.fromkeys(TIMES, reason)
    if texts is not None:
        samples = 0 if found.solve_texts else effort(run.method, run.protocol, texts).samples
    if machine is not None and texts is not None and samples is not None:
        each = machine.seconds(found.work) / found.texts
        samples = min(samples, _most_samples(run, texts, each))
        train = each * samples + machine.seconds(found.solve_work, steps=0)
        prefix = machine.seconds(found.prefix_work, steps=0) * texts / found.prefix_texts
        speed = samples / (train + prefix) if samples else None
        times = {"train_seconds": train, "prefix_seconds": prefix, "samples_per_second": speed}
        reasons["samples_per_second"] = NO_STEPS
    reasons = {name: reasons[name] for name, value in times.items() if value is None}
    if samples is None:
        reasons["train_samples"] = WITHOUT_DATA
    return Prediction(
        **{**found.numbers, **times},
        flops_per_sample=found.flops_per_sample,
        prefix_flops_per_sample=found.prefix_flops_per_sample,
        train_samples=samples,
        reasons=reasons,
    )


def _most_samples(run: PlannedRun, texts: int, seconds: float) -> float:
    """Those that a budget's seconds leave time for, at so many seconds each."""
    limit = run.protocol.budget.seconds if run.protocol.epochs == "auto" else None
    if limit is None or not seconds:
        return math.inf
    assert isinstance(run.method, TransformerMethod)
    training = effort(run.method, run.protocol, texts)
    return training.probe_samples + training.trainings * limit / seconds


class Predictor:
    """Predicts the runs of a study one by one, in the process that starts them."""

    def __init__(self) -> None:
        self._texts: dict[Path, tuple[np.ndarray, int, int]] = {}
        self._found: dict[str, Estimate | str] = {}

    def of(self, job: Job) -> tuple[Prediction | None, str | None]:
        """What a run should cost, from its configuration alone; or nothing, and why.

        There is none for baselines, which have no steps. A prediction that breaks costs no run: whatever goes wrong is
        the reason.
        """
        if job.model is None or job.planned.method.BASELINE:
            return None, None
        found = self._estimated(job)
        if isinstance(found, str):
            return None, found
        texts = len(self._read(job)[0])
        return prediction(found, job.planned, texts, known_machine(job.device, job.model)), None

    def seconds(self, job: Job) -> float | None:
        """Training seconds, frozen layers included, by whatever probe of this machine there was; None without one."""
        if job.model is None or job.planned.method.BASELINE:
            return None
        machine = known_machine(job.device, job.model, quick=True)
        found = None if machine is None else self._estimated(job)
        if found is None or isinstance(found, str):
            return None
        predicted = prediction(found, job.planned, len(self._read(job)[0]), machine)
        return (predicted.train_seconds or 0.0) + (predicted.prefix_seconds or 0.0)

    def _estimated(self, job: Job) -> Estimate | str:
        """The estimate of a run, or why there is none; made once."""
        if job.run_id not in self._found:
            self._found[job.run_id] = self._estimate(job)
        return self._found[job.run_id]

    def _estimate(self, job: Job) -> Estimate | str:
        from thriftune.cost.predicted.cuda import find_gpu
        from thriftune.cost.predicted.estimate import estimate

        assert job.model is not None
        lengths, words, validation = self._read(job)
        rows = len(lengths), validation
        gpu = find_gpu("cuda") if job.device == "cuda" else None
        try:
            return estimate(cell_of(job.planned, job.model, lengths, len(job.labels), gpu, words, rows))
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the run itself may well work
            return f"{type(error).__name__}: {first_line(error)}"

    def _read(self, job: Job) -> tuple[np.ndarray, int, int]:
        """Tokens of each training text, (texts,), the distinct token ids of training and validation, and how many
        validation texts there are."""
        from thriftune.data.tokens import Tokens

        path = job.tokens["train"]
        if path not in self._texts:
            tokens = {split: Tokens.load(job.tokens[split]) for split in ("train", "validation") if split in job.tokens}
            ids = np.concatenate([each.ids for each in tokens.values()])
            validation = len(tokens["validation"]) if "validation" in tokens else 0
            self._texts[path] = np.asarray(tokens["train"].lengths), len(np.unique(ids)), validation
        return self._texts[path]


def machine_path(device: str, hidden: int) -> Path:
    """Where the speeds of this machine for models of some hidden size are kept."""
    about = environment(device)
    parts = [about.get(key) for key in ("torch", "processor", "threads", "gpu")] + [hidden]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
    return cache_folder() / "machines" / f"{key}.json"


def known_machine(device: str, folder: Path, quick: bool = False) -> Machine | None:
    """This machine's speeds from an earlier probe, with `quick` from a quick one too; None where there was none."""
    from thriftune.cost.predicted.machine import Machine

    path = machine_path(device, _hidden(folder))
    known = Machine.load(path)
    return Machine.load(_quick(path)) if known is None and quick else known


def probed_machine(device: str, folder: Path, report: Callable[[], None], quick: bool = False) -> Machine:
    """This machine's speeds for a model: known from before, or probed now and kept.

    A quick probe is kept apart: only who asks for a quick one takes it for this machine's speeds. One that had to wait
    for processors is not kept, and its prices count what it waited as no work.
    """
    from thriftune.cost.predicted.probe import probe_machine

    known = known_machine(device, folder, quick)
    if known is not None:
        return known
    report()
    before = ProcessorTime.now()
    machine = probe_machine(device, _hidden(folder), quick)
    had = ProcessorTime.now().since(before)
    if had.waited is not None and had.waited > NOTICED * (had.used + had.waited):
        return machine.scaled(had.used / (had.used + had.waited))
    path = machine_path(device, _hidden(folder))
    with suppress(OSError):  # a cache that cannot be written to: the machine is timed again next time
        machine.save(_quick(path) if quick else path)
    return machine


def _quick(path: Path) -> Path:
    """Where a quick probe's speeds are kept."""
    return path.with_name(f"{path.stem}-quick.json")


def _hidden(folder: Path) -> int:
    """The hidden size to probe with: the model's, as far as it is quick to run."""
    from thriftune.models.pretrained.load import load_config

    return min(1024, -(-int(getattr(load_config(folder), "hidden_size", 768)) // 64) * 64)


@dataclass(frozen=True)
class Room:
    """Whether a cell fits into some memory."""

    fits: bool
    largest_batch_size: int
    """0 where not even one text fits."""


def room(cell_with: Callable[[int], Cell], peak: int, batch: int, limit: int, most: int) -> Room:
    """How a cell fits into `limit` bytes: `cell_with` makes it for a batch size, `peak` is what `batch` needs.

    The largest batch size, at most `most`, is found by interpolation and halving on the estimate itself.
    """
    from thriftune.cost.predicted.estimate import peak_bytes

    known = {batch: peak}

    def need(size: int) -> int:
        if size not in known:
            known[size] = peak_bytes(cell_with(size))
        return known[size]

    low, high = 0, most + 1
    if peak <= limit:
        low = min(batch, most)
    else:
        high = min(batch, high)
    if low == 0 and high > 1:
        if need(1) > limit:
            return Room(peak <= limit, 0)
        low = 1
    while high - low > 1:
        guess = _between(known, limit, low, high)
        if need(guess) <= limit:
            low = guess
        else:
            high = guess
    return Room(peak <= limit, low)


def _between(known: dict[int, int], limit: int, low: int, high: int) -> int:
    """A size between two bounds: where a line through the nearest known sizes meets the limit, kept off the bounds."""
    below, above = sorted(known, key=lambda size: (abs(known[size] - limit), size))[:2] if len(known) > 1 else (0, 0)
    if below == above or known[below] == known[above]:
        return min(high - 1, max(low + 1, 2 * low))
    slope = (known[above] - known[below]) / (above - below)
    guess = int(below + (limit - known[below]) / slope)
    return min(high - 1, max(low + 1, guess))


def resized(run: PlannedRun, batch_size: int | None, tokens: int | None) -> PlannedRun:
    """The run with another batch size, and with texts of `tokens` tokens each."""
    protocol = run.protocol
    if batch_size is not None:
        protocol = replace(protocol, batch_size=batch_size)
    if tokens is not None:
        protocol = replace(protocol, max_tokens=tokens)
    return replace(run, protocol=protocol)
