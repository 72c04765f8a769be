"""Trainings of one run: one for each learning rate that is tried, all charged to the same meter."""

from __future__ import annotations

import gc
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thriftune.engine.frozen.cache import PrefixCache
from thriftune.errors import InputError
from thriftune.folders import cache_folder
from thriftune.methods.base import TransformerMethod
from thriftune.results.training import SearchPoint
from thriftune.study.events import RunProgress
from thriftune.study.run.head_start import HeadStart
from thriftune.study.run.job import Emit, Job

if TYPE_CHECKING:
    from collections.abc import Sequence

    from thriftune.cost.measured.meter import CostMeter
    from thriftune.engine.batches import Examples
    from thriftune.engine.train import Fit
    from thriftune.models.classifier import Classifier


@dataclass(frozen=True)
class Trained:
    """The best of a learning-rate search (of one candidate, usually)."""

    classifier: Classifier
    examples: dict[str, Examples]
    """The splits, with the output of the frozen layers where that was computed once."""
    fit: Fit
    dynamics: np.ndarray
    """Probability of each training text's true label, (epochs, texts)."""
    learning_rate: float | None
    """None where no step was run."""
    search: list[SearchPoint]
    load_seconds: float
    texts: int
    """Texts seen by all candidates."""
    notes: list[str]


@dataclass(frozen=True)
class Try:
    """A training with one learning rate."""

    rate: float | None
    """None where the head was solved and nothing was left to train."""
    classifier: Classifier
    examples: dict[str, Examples]
    fit: Fit
    dynamics: np.ndarray


class Tries:
    """Trains a run's model with one learning rate after another, each from the start."""

    def __init__(self, job: Job, examples: dict[str, Examples], meter: CostMeter, emit: Emit) -> None:
        assert isinstance(job.planned.method, TransformerMethod)
        self.job = job
        self._meter = meter
        self._emit = emit
        self._splits = {name: part for name, part in examples.items() if name not in job.robustness}
        self._further = {name: part for name, part in examples.items() if name in job.robustness}
        self._layers = _prefix_layers(job, job.planned.method, self._splits)
        self._load_seconds, self._texts = 0.0, 0
        self._began = 0.0
        """The meter's training seconds when the last training began: a solved head is charged before."""
        self._head = HeadStart(job.planned, meter, emit)
        self.search: list[SearchPoint] = []
        self.notes = self._head.notes

    @property
    def train_texts(self) -> int:
        """How many training texts there are."""
        return len(self._splits["train"])

    def one(self, rate: float, probe_steps: int | None = None) -> Try:
        """A training; raises `DivergedError` where it ends in no number."""
        classifier, examples = self._loaded()
        if (answer := self._head.begin(classifier, examples)) is not None:
            return Try(None, classifier, examples, answer.fit, answer.dynamics)
        self._began = self._meter.train_seconds
        fit, dynamics = _fit(self.job, classifier, rate, examples, self._meter, self._emit, probe_steps)
        self._texts += fit.texts
        return Try(rate, classifier, examples, fit, dynamics)

    def _loaded(self) -> tuple[Classifier, dict[str, Examples]]:
        self._emit(RunProgress(self.job.planned.name, "loading"))
        gc.collect()  # the candidate before is gone from memory before the next one is loaded and measured
        started = time.perf_counter()
        classifier = load(self.job, self._layers)
        self._load_seconds += time.perf_counter() - started
        return classifier, run_prefixes(self.job, classifier, self._splits, self._further, self._emit)

    def candidate(self, rate: float, probe_steps: int | None = None) -> Try | None:
        """A training that is part of a search; None, with a note, where it diverged."""
        from thriftune.engine.train import DivergedError

        try:
            made = self.one(rate, probe_steps)
        except DivergedError as error:
            self.notes.append(f"Learning rate {rate:g} diverged: {error}")
            return None
        found = made.fit.validation
        if made.rate is None:
            return made
        if found is None:
            raise InputError(f"{self.job.planned.name}: a search over learning rates needs a validation split.")
        if not math.isfinite(found.loss):
            self.notes.append(f"Learning rate {rate:g} diverged: its validation loss is {found.loss}.")
            return None
        seconds = self._meter.train_seconds - self._began
        self.search.append(SearchPoint(rate, found.accuracy, found.loss, seconds, made.fit.epochs[-1].step))
        return made

    def single(self, rate: float) -> Trained:
        """The training with one rate is the run's."""
        return self._trained(self.one(rate))

    def best_of(self, rates: Sequence[float]) -> Trained:
        """The training with the best validation score is the run's."""
        from thriftune.engine.checkpoint import load_trained, save_trained
        from thriftune.engine.train import score_of

        planned = self.job.planned
        assert isinstance(planned.method, TransformerMethod)
        kept = self.job.out / "best.safetensors"
        best: tuple[float, float, Fit, np.ndarray] | None = None
        made: Try | None = None
        for rate in rates:
            made = None  # its weights are gone before the next are loaded
            made = self.candidate(rate)
            if made is not None and made.rate is None:
                return self._trained(made)
            if made is None or made.fit.validation is None:
                continue
            value = score_of(made.fit.validation, planned.protocol.select)
            if best is None or value > best[0]:
                best = (value, rate, made.fit, made.dynamics)
                save_trained(made.classifier, kept)
        if best is None:
            raise self.all_diverged()
        classifier, examples = self._loaded() if made is None else (made.classifier, made.examples)
        load_trained(classifier, kept)
        kept.unlink()
        if (watcher := planned.method.watch(classifier)) is not None:
            watcher.finished()
        return self._trained(Try(best[1], classifier, examples, best[2], best[3]))

    def all_diverged(self) -> Exception:
        """What ends a search that found nothing."""
        from thriftune.engine.train import DivergedError

        return DivergedError(f"every learning rate diverged: {' '.join(self.notes)}")

    def _trained(self, made: Try) -> Trained:
        return Trained(
            made.classifier,
            made.examples,
            made.fit,
            made.dynamics,
            made.rate,
            self.search,
            self._load_seconds,
            self._texts,
            self.notes,
        )


def _prefix_layers(job: Job, method: TransformerMethod, examples: dict[str, Examples]) -> int:
    """How many layers will run once and then be gone, 0 for none: the method on shapes alone tells."""
    import torch

    from thriftune.engine.frozen.cut import prefix_layers
    from thriftune.models.pretrained.load import skeleton

    planned = job.planned
    assert job.model is not None
    device = "cpu" if method.reads_weights else "meta"
    shapes = skeleton(job.model, job.labels, planned.head, planned.model, device)
    method.apply(shapes, torch.Generator().manual_seed(planned.seed))
    return prefix_layers(shapes, examples, planned.protocol, PrefixCache(cache_folder() / "prefixes"))


def load(job: Job, without: int = 0) -> Classifier:
    """The pretrained model as the run's method changes it, on the run's device.

    The `without` lowest layers are left out where they run only once.
    """
    import torch

    from thriftune.data.tokens import Tokens
    from thriftune.engine.sides import settle_side
    from thriftune.models.pretrained.load import load_classifier

    planned = job.planned
    assert job.model is not None
    assert isinstance(planned.method, TransformerMethod)
    classifier = load_classifier(job.model, job.labels, planned.head, planned.model, planned.seed, without or None)
    planned.method.apply(classifier, torch.Generator().manual_seed(planned.seed))
    classifier.move(job.device)
    settle_side(classifier, Tokens.load(job.tokens["train"], mmap=True), planned.protocol)
    return classifier


def run_prefixes(
    job: Job, classifier: Classifier, splits: dict[str, Examples], further: dict[str, Examples], emit: Emit
) -> dict[str, Examples]:
    """Runs the frozen layers below the cut once, or finds what they gave before."""
    from thriftune.cost.measured.memory import peak_of
    from thriftune.engine.frozen.cut import run_prefix

    planned = job.planned

    def report(split: str, done: int, total: int) -> None:
        emit(RunProgress(planned.name, "prefix", step=done, steps=total))

    cache = PrefixCache(cache_folder() / "prefixes")
    return run_prefix(classifier, splits, planned.protocol, cache, report, peak_of, further)


def _fit(
    job: Job,
    classifier: Classifier,
    rate: float,
    examples: dict[str, Examples],
    meter: CostMeter,
    emit: Emit,
    probe_steps: int | None = None,
) -> tuple[Fit, np.ndarray]:
    from thriftune.engine.dynamics import Dynamics
    from thriftune.engine.train import Task, fit
    from thriftune.study.run.watch import ProgressHook

    planned = job.planned
    assert isinstance(planned.method, TransformerMethod)
    task = Task(
        classifier=classifier,
        train=examples["train"],
        validation=examples.get("validation"),
        protocol=planned.protocol,
        learning_rate=rate,
        seed=planned.seed,
        checkpoint=job.out / "epoch.safetensors",
        watcher=planned.method.watch(classifier),
        head_learning_rate=planned.method.head_learning_rate,
        probe_steps=probe_steps,
    )
    dynamics = Dynamics()
    return fit(task, [meter, ProgressHook(planned, meter, emit), dynamics]), dynamics.true_probability
