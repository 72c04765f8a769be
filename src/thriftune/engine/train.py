"""The training loop: the only one, for every method, architecture and device."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.batches import Examples, training_batches
from thriftune.engine.checkpoint import load_trained, save_trained
from thriftune.engine.graphs import steps_of
from thriftune.engine.precision import use_precision
from thriftune.engine.predict import QuickScores, quick_scores
from thriftune.engine.protocol import Protocol
from thriftune.engine.readings import Readings
from thriftune.engine.schedule import Schedule, optimizer_steps
from thriftune.engine.step import Step, Steps, build_optimizer
from thriftune.engine.vocabulary import narrow
from thriftune.methods.base import Watcher
from thriftune.models.classifier import Classifier
from thriftune.results.record import EpochPoint, StepPoint

LOSS_POINTS = 200
"""About how many points of the training loss a history holds."""


class DivergedError(Exception):
    """The training loss is no longer a finite number."""


class StopTraining(Exception):  # noqa: N818 - it is no error
    """A hook raises it to end a training whose weights nobody wants any more."""


@dataclass(frozen=True)
class Progress:
    """Where training stands, for hooks."""

    epoch: int
    """1-based."""
    step: int
    """Steps done over all epochs."""
    steps: int
    """Steps of the whole training."""
    texts: int
    """Texts seen over all epochs."""
    loss: float | None
    """Mean over the last window; None until there is one."""


class Hook:
    """Watches the loop; every method may be left out. The cost meter and the progress display are hooks."""

    def train_started(self, step: Step) -> None:
        """Before the first step; the model is in training mode."""

    def epoch_started(self) -> None:
        """Before an epoch's first step."""

    def stepped(self, progress: Progress) -> None:
        """After a step; called inside the timed part, so it must be quick."""

    def epoch_trained(self, seconds: float) -> None:
        """After an epoch's last step and before its evaluation; `seconds` is the time of its steps."""

    def evaluated(self, seconds: float) -> None:
        """After an evaluation on validation."""

    def looked(self, point: EpochPoint) -> None:
        """After a look at validation, when its point stands in the history; may raise `StopTraining`."""


@dataclass(frozen=True)
class Fit:
    """What training produced; the kept weights are in the classifier."""

    steps: list[StepPoint]
    epochs: list[EpochPoint]
    best_epoch: int
    """1-based epoch whose weights were kept."""
    validation: QuickScores | None
    """Of the kept weights."""
    texts: int
    """Texts seen, over all epochs."""
    notes: list[str]
    """What the user should know about how it was trained."""


@dataclass(frozen=True)
class Task:
    """Everything that one training needs."""

    classifier: Classifier
    train: Examples
    validation: Examples | None
    protocol: Protocol
    learning_rate: float
    seed: int
    checkpoint: Path
    """Where the best weights wait (safetensors)."""
    watcher: Watcher | None = None
    """What the method does while training goes on."""


def fit(task: Task, hooks: Sequence[Hook] = ()) -> Fit:
    """Trains a classifier in place and leaves the kept weights in it.

    Deterministic per seed on one machine and thread count. Raises `DivergedError` when the loss stops being
    finite, and `torch.OutOfMemoryError` on a GPU that is too small.
    """
    keep_freed_memory()
    protocol, classifier = task.protocol, task.classifier
    use_precision(protocol)
    torch.manual_seed(task.seed)
    vocabulary, (train, validation) = narrow(classifier, [task.train, task.validation], protocol)
    task = replace(task, train=train or task.train, validation=validation)
    optimizer = build_optimizer(classifier, protocol.optimizer, task.learning_rate)
    step = Step(classifier, task.train, protocol, optimizer, task.watcher.penalty if task.watcher else None)
    schedule = Schedule(protocol.schedule, optimizer_steps(len(task.train), protocol))
    run = _Run(task, hooks, step, schedule)
    try:
        run.train()
    finally:
        task.checkpoint.unlink(missing_ok=True)
        if vocabulary is not None:
            vocabulary.restore(run.kept_decay)
    return Fit(
        run.step_points, run.epoch_points, run.best_epoch, run.kept, run.texts, [*run.steps.notes(), *schedule.notes()]
    )


class _Run:
    """The state of one training."""

    def __init__(self, task: Task, hooks: Sequence[Hook], step: Step, schedule: Schedule) -> None:
        self.task = task
        self.hooks = hooks
        self.step = step
        self.steps: Steps = step
        self.readings = Readings()
        self.schedule = schedule
        self.steps_done = 0
        self.texts = 0
        self.step_points: list[StepPoint] = []
        self.epoch_points: list[EpochPoint] = []
        self.best_epoch = 0
        self.best_score = -math.inf
        self.kept: QuickScores | None = None
        self.stopping_best = math.inf
        self.stopping_bad = 0
        self.decay = self.kept_decay = 1.0
        self._window_mean: float | None = None
        self._epoch = (0.0, 0.0, 0.0)

    def train(self) -> None:
        """Runs all epochs; leaves the kept weights in the classifier."""
        protocol, classifier = self.task.protocol, self.task.classifier
        classifier.train_mode(protocol.frozen_dropout == "on")
        if self.task.watcher is not None:
            self.task.watcher.started(self.schedule.steps)
        for hook in self.hooks:
            hook.train_started(self.step)
        self.step.updated = self._updated if self.task.watcher is not None else None
        self.steps = steps_of(self.step, changed_between=self.task.watcher is not None)
        for epoch in range(1, protocol.epochs + 1):
            self.train_epoch(epoch)
            if self.evaluate_epoch(epoch):
                break
        if protocol.keep == "best" and self.best_epoch != len(self.epoch_points):
            load_trained(classifier, self.task.checkpoint)
        if self.task.watcher is not None:
            self.task.watcher.finished()

    def _updated(self) -> None:
        assert self.task.watcher is not None
        self.task.watcher.updated(self.steps_done + 1)

    def train_epoch(self, epoch: int) -> None:
        """Runs an epoch's steps; only they are timed, and they are charged even if training breaks off in them."""
        device = self.task.classifier.device
        self.task.classifier.train_mode(self.task.protocol.frozen_dropout == "on")
        for hook in self.hooks:
            hook.epoch_started()
        synchronize(device)
        started = time.perf_counter()
        try:
            loss, accuracy = self._steps(epoch)
        finally:
            synchronize(device)
            seconds = time.perf_counter() - started
            for hook in self.hooks:
                hook.epoch_trained(seconds)
        self._epoch = (loss, accuracy, seconds)

    def _steps(self, epoch: int) -> tuple[float, float]:
        """All steps of an epoch; returns the mean loss and the accuracy of its training texts."""
        task, protocol, device = self.task, self.task.protocol, self.task.classifier.device
        batches = training_batches(len(task.train), protocol.batch_size, task.seed, epoch - 1)
        groups = [batches[i : i + protocol.accumulate] for i in range(0, len(batches), protocol.accumulate)]
        rates = [task.learning_rate * self.schedule.factor(self.steps_done + i) for i in range(len(groups))]
        window = max(1, self.schedule.steps // LOSS_POINTS)
        total_loss, window_loss = torch.zeros((), device=device), torch.zeros((), device=device)
        correct = torch.zeros((), device=device, dtype=torch.int64)
        window_texts, texts, self._window_mean = 0, 0, None
        for rate, result in zip(rates, self.steps.epoch(groups, rates), strict=True):
            self.decay *= 1.0 - rate * protocol.optimizer.weight_decay
            self.steps_done += 1
            self.texts += result.texts
            texts += result.texts
            window_texts += result.texts
            window_loss += result.loss
            correct += result.correct
            if self.steps_done % window == 0 or texts == len(task.train):
                point = partial(self._point, self.steps_done, epoch - 1 + texts / len(task.train), window_texts, rate)
                self.readings.ask(window_loss, point)
                total_loss += window_loss
                window_loss, window_texts = torch.zeros((), device=device), 0
            self.readings.take()
            for hook in self.hooks:
                hook.stepped(Progress(epoch, self.steps_done, self.schedule.steps, self.texts, self._window_mean))
        self.readings.take(wait=True)
        return total_loss.item() / texts, correct.item() / texts

    def _point(self, step: int, epoch: float, texts: int, rate: float, loss: float) -> None:
        """A point of the history, from the sum of its window's losses; raises `DivergedError` where that is none."""
        if not np.isfinite(loss):
            raise DivergedError(f"the training loss became {loss / texts} by step {step}; try a smaller learning rate")
        self._window_mean = loss / texts
        self.step_points.append(StepPoint(step, epoch, self._window_mean, rate))

    def evaluate_epoch(self, epoch: int) -> bool:
        """Scores the validation texts, keeps the best weights; returns whether to stop early."""
        task, protocol = self.task, self.task.protocol
        scores: QuickScores | None = None
        if task.validation is not None:
            started = time.perf_counter()
            scores = quick_scores(task.classifier, task.validation, protocol)
            for hook in self.hooks:
                hook.evaluated(time.perf_counter() - started)
        loss, accuracy, seconds = self._epoch
        self.epoch_points.append(
            EpochPoint(
                epoch=epoch,
                step=self.steps_done,
                train_loss=loss,
                train_accuracy=accuracy,
                validation_loss=None if scores is None else scores.loss,
                validation_accuracy=None if scores is None else scores.accuracy,
                validation_macro_f1=None if scores is None else scores.macro_f1,
                learning_rate=self.step_points[-1].learning_rate,
                train_seconds=seconds,
            )
        )
        self._keep(epoch, scores)
        self.schedule.epoch_ended(None if scores is None else scores.loss)
        for hook in self.hooks:
            hook.looked(self.epoch_points[-1])
        return self._stops_early(scores)

    def _keep(self, epoch: int, scores: QuickScores | None) -> None:
        protocol = self.task.protocol
        score = -math.inf if scores is None else score_of(scores, protocol.select)
        if protocol.keep == "last" or scores is None or score > self.best_score or self.best_epoch == 0:
            self.best_epoch, self.best_score, self.kept = epoch, score, scores
            self.kept_decay = self.decay
            if protocol.keep == "best" and epoch < protocol.epochs:
                save_trained(self.task.classifier, self.task.checkpoint)

    def _stops_early(self, scores: QuickScores | None) -> bool:
        settings = self.task.protocol.early_stopping
        if settings is None or scores is None:
            return False
        badness = -score_of(scores, settings.metric)
        if badness < self.stopping_best - settings.min_delta:
            self.stopping_best, self.stopping_bad = badness, 0
            return False
        self.stopping_bad += 1
        return self.stopping_bad >= settings.patience


def score_of(scores: QuickScores, metric: str) -> float:
    """A validation score of which more is better: accuracy, macro F1, or the negative loss."""
    return -scores.loss if metric == "loss" else float(getattr(scores, metric))


def synchronize(device: torch.device) -> None:
    """Waits for a GPU's queued work, so that a clock read next tells the truth; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
