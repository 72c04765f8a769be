"""Predicts what a study's runs will cost, before anything is loaded."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thriftune.errors import InputError, first_line
from thriftune.methods.base import TransformerMethod
from thriftune.results.prediction import TIMES, Prediction
from thriftune.study.file.plan import PlannedRun
from thriftune.study.forecast.effort import effort
from thriftune.study.run.job import Job
from thriftune.study.run.solved_head import NO_STEPS

if TYPE_CHECKING:
    from thriftune.cost.predicted.cuda import Gpu
    from thriftune.cost.predicted.estimate import Case, Estimate
    from thriftune.cost.predicted.machine import Machine

NO_RECORD = "this machine was not probed; thriftune estimate does it"
WITHOUT_DATA = "without data the number of training texts is not known"


def case_of(
    run: PlannedRun,
    folder: Path,
    lengths: np.ndarray,
    classes: int,
    gpu: Gpu | None,
    words: int | None = None,
    rows: tuple[int, int] = (0, 0),
) -> Case:
    """A run of a study as an estimate takes it; `lengths` are the tokens of its training texts, (texts,).

    `words`: distinct token ids of its training and validation texts, `rows`: how many of both there are, where they
    are known.
    """
    from thriftune.cost.predicted.estimate import Case
    from thriftune.engine.batches import typical_batch, widest_batch

    assert isinstance(run.method, TransformerMethod)
    widest = lengths[widest_batch(lengths, run.protocol, run.seed)]
    typical = lengths[typical_batch(lengths, run.protocol, run.seed)]
    return Case(
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
        if job.processes > 1:
            return None, f"{job.processes} processes train together, and a prediction is of one"
        found = self._estimated(job)
        if isinstance(found, str):
            return None, found
        return prediction(found, job.planned, len(self._read(job)[0]), _known_machine(job)), None

    def seconds(self, job: Job) -> float | None:
        """Training seconds, frozen layers included, by whatever probe of this machine there was; None without one."""
        machine = _known_machine(job, quick=True)
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
            return estimate(case_of(job.planned, job.model, lengths, len(job.labels), gpu, words, rows))
        except InputError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 - the run itself may well work
            return f"{type(error).__name__}: {first_line(error)}"

    def _read(self, job: Job) -> tuple[np.ndarray, int, int]:
        """Tokens of each training text, (texts,), the distinct token ids of training and validation, and how many
        validation texts there are."""
        from thriftune.data.large.arrays import distinct
        from thriftune.data.tokens import Tokens

        path = job.tokens["train"]
        if path not in self._texts:
            splits = [split for split in ("train", "validation") if split in job.tokens]
            tokens = {split: Tokens.load(job.tokens[split], mmap=True) for split in splits}
            validation = len(tokens["validation"]) if "validation" in tokens else 0
            self._texts[path] = (
                np.asarray(tokens["train"].lengths),
                len(distinct(each.ids for each in tokens.values())),
                validation,
            )
        return self._texts[path]


def _known_machine(job: Job, quick: bool = False) -> Machine | None:
    from thriftune.cost.predicted.speeds import known_machine

    assert job.model is not None
    return known_machine(job.device, job.model, quick)
