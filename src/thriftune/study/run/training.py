"""The trainings of one run: planned once, then loaded, frozen layers run, and trained, each from the start."""

from __future__ import annotations

import gc
import time
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.cost.measured.environment import use_all_processors
from thriftune.endings import finishing
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.hooks import Dynamics, Hook, Progress
from thriftune.methods.base import Resumable, TransformerMethod
from thriftune.study.events import RunLooked, RunProgress
from thriftune.study.run.job import Emit, Job
from thriftune.study.run.solved_head import SolvedHead

if TYPE_CHECKING:
    from thriftune.cost.measured.meter import CostMeter
    from thriftune.engine.examples import Examples
    from thriftune.engine.frozen.layers import FrozenLayers
    from thriftune.engine.resume.saver import Checkpoints
    from thriftune.engine.resume.state import State
    from thriftune.engine.train import Fit
    from thriftune.models.classifier import Classifier
    from thriftune.results.history import EpochPoint
    from thriftune.study.file.plan import PlannedRun

CARRIED = ("load_seconds", "texts", "step_seconds", "process_peak_bytes", "prefix_made")
"""What a trainer sums up, over the parts of an interrupted run too."""
SECONDS_BETWEEN = 0.5
"""Between two reports of where training stands."""


@dataclass(frozen=True)
class Trained:
    """A model that was trained with one learning rate."""

    learning_rate: float | None
    """None where the head was solved and nothing was left to train."""
    classifier: Classifier
    examples: dict[str, Examples]
    """The splits, with the output of the frozen layers where that was computed once."""
    fit: Fit
    dynamics: np.ndarray
    """Probability of each training text's true label, (epochs, texts)."""
    seconds: float = 0.0
    """Of its steps."""


class Trainer:
    """Trains a run's model from the start as often as it is asked to; all of it is charged to one meter.

    With `checkpoints` the training under way is written down while it goes on, and the first one goes on from there.
    """

    def __init__(
        self,
        job: Job,
        examples: dict[str, Examples],
        meter: CostMeter,
        emit: Emit,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        import torch

        from thriftune.models.pretrained.load import skeleton

        planned = job.planned
        assert isinstance(planned.method, TransformerMethod)
        assert job.model is not None
        self.job, self.method = job, planned.method
        self.train_texts = len(examples["train"])
        self.load_seconds, self.texts, self.step_seconds = 0.0, 0, 0.0
        """Of all trainings; texts as often as they were seen."""
        self.checkpoints = checkpoints
        self.process_peak_bytes, self.prefix_made = 0, False
        """Of the parts of the run before this one: their largest, and whether they computed the training prefix."""
        self._meter, self._emit = meter, emit
        self._begun = 0.0
        self._frozen = frozen_layers(job, examples, emit)
        shapes = skeleton(
            job.model, job.labels, planned.head, planned.model, "cpu" if self.method.reads_weights else "meta"
        )
        self.method.apply(shapes, torch.Generator().manual_seed(planned.seed))
        self._left_out = self._frozen.plan(shapes)
        self._head = SolvedHead(planned, meter, emit, job.head_c)
        self.notes = self._head.notes

    @property
    def head_c(self) -> float | None:
        """The C of the solved head; None where none was solved."""
        return self._head.c

    def loaded(self) -> tuple[Classifier, dict[str, Examples]]:
        """The model as its method begins, and the texts with the output of the frozen layers."""
        self._emit(RunProgress(self.job.planned.name, "loading"))
        gc.collect()  # the candidate before is gone from memory before the next one is loaded and measured
        started = time.perf_counter()
        self._have_loaded()
        classifier = load(self.job, self._left_out)
        self.load_seconds += time.perf_counter() - started
        return classifier, self._frozen.run(classifier)

    def _have_loaded(self) -> None:
        """Has the processes that train with this one load the same, at the same time."""
        from thriftune.engine.parallel.commands import Load
        from thriftune.engine.parallel.team import present

        if (team := present()) is not None:
            team.tell(Load(self.job, self._left_out))
            team.loaded = team.unequal = True
            everything = self._frozen.splits | self._frozen.further
            team.splits = {name: part.tokens.offsets for name, part in everything.items()}

    def train(self, rate: float, probe_steps: int | None = None, *, tried: bool = False) -> Trained:
        """A training with one learning rate, `tried` where others are too; with `probe_steps` it ends after so many.

        Raises `DivergedError` where it ends in no number.
        """
        from thriftune.engine.train import Task, fit

        planned = self.job.planned
        classifier, examples = self.loaded()
        prefix = examples["train"].prefix
        self.prefix_made = self.prefix_made or (prefix is not None and not prefix.reused)
        if (answer := self._head.begin(classifier, examples)) is not None:
            return Trained(None, classifier, examples, *answer)
        watcher = self.method.watch(classifier)
        checkpoints = self._checkpoints_of(watcher)
        task = Task(
            classifier=classifier,
            train=examples["train"],
            validation=examples.get("validation"),
            protocol=planned.protocol,
            learning_rate=rate,
            seed=planned.seed,
            checkpoint=self.job.out / "epoch.safetensors",
            watcher=watcher,
            head_learning_rate=self.method.head_learning_rate,
            probe_steps=probe_steps,
            checkpoints=checkpoints,
        )
        before = self._begin(checkpoints)
        dynamics, spent = Dynamics(), before + (0.0 if prefix is None else prefix.seconds)
        progress = ProgressHook(planned, self._meter, self._emit, self.texts, spent, rate if tried else None)
        self._emit(RunProgress(planned.name, "probing", tried_rate=rate if tried else None))
        try:
            with nullcontext() if checkpoints is None else finishing():
                found = fit(task, [self._meter, progress, dynamics])
        finally:
            seconds = self._meter.train_seconds - before
            self.step_seconds += seconds
        self.texts += found.texts
        return Trained(rate, classifier, examples, found, dynamics.true_probability, seconds)

    def _checkpoints_of(self, watcher: object) -> Checkpoints | None:
        """None, with a note, where the method does something in training that nobody can write down."""
        if watcher is None or isinstance(watcher, Resumable):
            return self.checkpoints
        note = f"No checkpoints were written: what {self.method.short_name()} does in training has no state()."
        if self.checkpoints is not None and note not in self.notes:
            self.notes.append(note)
        return None

    def _begin(self, checkpoints: Checkpoints | None) -> float:
        """The meter's training seconds when the training that comes began; takes the sums of the parts before."""
        if checkpoints is None:
            return self._meter.train_seconds
        state = checkpoints.take("run")
        self._begun = self._meter.train_seconds
        if state is not None:
            # What was loaded and solved just now was charged before the interruption already.
            self.notes[:] = state["notes"]
            for name in CARRIED:
                setattr(self, name, state[name])
            self._begun = state["begun"]
        checkpoints.provide("run", self._state)
        return self._begun

    def _state(self) -> State:
        from thriftune.cost.measured.environment import process_peak_bytes

        peak = max(self.process_peak_bytes, process_peak_bytes())
        carried = {name: getattr(self, name) for name in CARRIED} | {"process_peak_bytes": peak}
        return {"notes": list(self.notes), "begun": self._begun, **carried}


def use_machine(job: Job, threads: int | None = None) -> None:
    """Sets the matrix precision and, on a CPU, as many threads as there are processors for this run, or `threads`."""
    from thriftune.engine.gpu.precision import use_precision

    use_precision(job.planned.protocol)
    if job.device == "cpu":
        use_all_processors(threads or job.threads)


def frozen_layers(job: Job, examples: dict[str, Examples], emit: Emit) -> FrozenLayers:
    """The owner of a run's frozen layers; robustness sets need no room in the cache for the others to be there."""
    from thriftune.cost.measured.memory import peak_of
    from thriftune.engine.frozen.layers import FrozenLayers

    def report(split: str, done: int, total: int) -> None:
        emit(RunProgress(job.planned.name, "prefix", step=done, steps=total))

    splits = {name: part for name, part in examples.items() if name not in job.robustness}
    further = {name: part for name, part in examples.items() if name in job.robustness}
    return FrozenLayers(splits, job.planned.protocol, PrefixCache.of_user(), report, peak_of, further)


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


class ProgressHook(Hook):
    """Tells a run's listener where training stands, a few times a second."""

    def __init__(
        self, planned: PlannedRun, meter: CostMeter, emit: Emit, texts: int, seconds: float, tried: float | None
    ) -> None:
        self._planned = planned
        self._tried = tried
        self._before = texts, seconds
        """Of what the run has trained already, and of its frozen layers: samples/s counts what the record will."""
        self._meter = meter
        self._emit = emit
        self._open = planned.protocol.epochs == "auto"
        """Whether it is not known when training ends."""
        self._last = 0.0
        self._seen: Progress | None = None
        self._epoch_start = 0.0
        self._seconds = 0.0
        """Of the steps of earlier epochs."""

    def steps_started(self) -> None:
        """Starts the clock of an epoch."""
        self._epoch_start = time.perf_counter()

    def stepped(self, progress: Progress) -> None:
        """Reports when the last report is old enough."""
        self._seen = progress
        now = time.perf_counter()
        if now - self._last >= SECONDS_BETWEEN:
            self._last = now
            self._report(progress, self._seconds + now - self._epoch_start)

    def steps_done(self, seconds: float) -> None:
        """Reports the end of an epoch."""
        self._seconds += seconds
        if self._seen is not None:
            self._report(self._seen, self._seconds)

    def looked(self, point: EpochPoint) -> None:
        """Reports what was found."""
        self._emit(
            RunLooked(
                name=self._planned.name,
                epoch=point.epoch,
                step=point.step,
                train_loss=point.train_loss,
                validation_loss=point.validation_loss,
                validation_accuracy=point.validation_accuracy,
                validation_macro_f1=point.validation_macro_f1,
                learning_rate=point.learning_rate,
                tried_rate=self._tried,
            )
        )

    def state(self) -> dict[str, Any]:
        """The seconds so far."""
        return {"seconds": self._seconds}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self._seconds = state["seconds"]

    def _report(self, progress: Progress, elapsed: float) -> None:
        texts, seconds = self._before
        self._emit(
            RunProgress(
                name=self._planned.name,
                stage="training",
                epoch=progress.epoch,
                epochs=None if self._open else self._planned.protocol.most_epochs,
                step=progress.step,
                steps=progress.steps,
                loss=progress.loss,
                samples_per_second=(texts + progress.texts) / (seconds + elapsed),
                memory_bytes=self._meter.peak_memory_bytes or None,
                seconds_left=None if self._open else elapsed / progress.step * (progress.steps - progress.step),
                tried_rate=self._tried,
            )
        )
