"""The training loop: the only one, for every method, architecture and device."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from thriftune.engine.checkpoint import load_trained, save_trained
from thriftune.engine.examples import Examples
from thriftune.engine.gpu.graphs import GraphedSteps, steps_of
from thriftune.engine.gpu.readings import Readings
from thriftune.engine.hooks import DivergedError, Hook, Progress
from thriftune.engine.pace import SMALLEST_GAIN, Look, Pace, Stretch
from thriftune.engine.predict import QuickScores, quick_scores, score_of
from thriftune.engine.protocol import Protocol
from thriftune.engine.schedule import epoch_steps
from thriftune.engine.step import Step
from thriftune.methods.base import Watcher
from thriftune.models.classifier import Classifier
from thriftune.models.device import synchronize
from thriftune.results.history import EpochPoint, StepPoint

LOSS_POINTS = 200
"""About how many points of the training loss a history holds."""


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
    head_learning_rate: float | None = None
    """The head's peak rate; None: as for everything else."""
    probe_steps: int | None = None
    """Ends after so many steps, with one look at validation: a try of a learning rate. None: as the protocol says."""


@dataclass(frozen=True)
class _Answers:
    """What a look at validation found, for the gain over the last epoch."""

    step: int
    accuracy: float
    predicted: np.ndarray
    """(validation texts,) class ids."""


class Loop:
    """One training: its steps, its looks at validation, and which weights are kept."""

    def __init__(self, task: Task, hooks: Sequence[Hook], step: Step, pace: Pace) -> None:
        self.task = task
        self.hooks = hooks
        self.step = step
        self.steps: Step | GraphedSteps = step
        self.readings = Readings()
        self.pace = pace
        self.epoch_steps = epoch_steps(len(task.train), task.protocol)
        self.steps_done = 0
        self.texts = 0
        self.seconds = 0.0
        self.step_points: list[StepPoint] = []
        self.epoch_points: list[EpochPoint] = []
        self.answers: list[_Answers] = []
        """Of the looks at the full learning rate."""
        self.best_epoch: int | float = 0
        self.best_score = (-math.inf, -math.inf)
        self.kept: QuickScores | None = None
        self.last: QuickScores | None = None
        self.stopping_best = math.inf
        self.stopping_bad = 0
        self._window_mean: float | None = None
        self._since = _Since()

    def train(self) -> None:
        """Runs all stretches; leaves the kept weights in the classifier."""
        protocol, classifier = self.task.protocol, self.task.classifier
        classifier.train_mode(protocol.frozen_dropout == "on")
        if self.task.watcher is not None:
            self.task.watcher.started(self.pace.most_steps)
        for hook in self.hooks:
            hook.train_started(self.step)
        self.step.updated = self._updated if self.task.watcher is not None else None
        self.steps = steps_of(self.step, changed_between=self.task.watcher is not None)
        for stretch in self.pace.stretches():
            if stretch.falls and self._fell_behind():
                self._put_best_back()
            self.train_stretch(stretch)
            if stretch.ends_epoch:
                for hook in self.hooks:
                    hook.epoch_ended()
            if stretch.look:
                self.look()
        if protocol.epochs == "auto" and not self._fell_behind():
            self.best_epoch, self.kept = self.epoch_points[-1].epoch, self.last
        elif self.best_epoch != self.epoch_points[-1].epoch:
            self._put_best_back()
        if self.task.watcher is not None:
            self.task.watcher.finished()

    def _updated(self) -> None:
        assert self.task.watcher is not None
        self.task.watcher.updated(self.steps_done + 1)

    def train_stretch(self, stretch: Stretch) -> None:
        """Runs steps; only they are timed, and they are charged even if training breaks off in them."""
        device = self.task.classifier.device
        self.task.classifier.train_mode(self.task.protocol.frozen_dropout == "on")
        for hook in self.hooks:
            hook.steps_started()
        synchronize(device)
        started = time.perf_counter()
        try:
            self._steps(stretch)
        finally:
            synchronize(device)
            seconds = time.perf_counter() - started
            self.seconds += seconds
            self._since.seconds += seconds
            for hook in self.hooks:
                hook.steps_done(seconds)

    def _steps(self, stretch: Stretch) -> None:
        """The steps of a stretch; adds their losses and hits to what was trained since the last look."""
        task, device = self.task, self.task.classifier.device
        rates = [task.learning_rate * factor for factor in stretch.factors]
        window = max(1, self.pace.most_steps // LOSS_POINTS)
        total_loss, window_loss = torch.zeros((), device=device), torch.zeros((), device=device)
        correct = torch.zeros((), device=device, dtype=torch.int64)
        last = self.steps_done + len(rates)
        window_texts, texts, self._window_mean = 0, 0, None
        for rate, result in zip(rates, self.steps.epoch(stretch.groups, rates), strict=True):
            self.steps_done += 1
            self.texts += result.texts
            texts += result.texts
            window_texts += result.texts
            window_loss += result.loss
            correct += result.correct
            if self.steps_done % window == 0 or self.steps_done == last:
                point = partial(self._point, self.steps_done, self.texts / len(task.train), window_texts, rate)
                self.readings.ask(window_loss, point)
                total_loss += window_loss
                window_loss, window_texts = torch.zeros((), device=device), 0
            self.readings.take()
            steps, most = self.steps_done, self.pace.most_steps
            for hook in self.hooks:
                hook.stepped(Progress(stretch.epoch, steps, most, self.texts, self._window_mean, rate))
        self.readings.take(wait=True)
        self._since.loss += total_loss.item()
        self._since.correct += int(correct.item())
        self._since.texts += texts

    def _point(self, step: int, epoch: float, texts: int, rate: float, loss: float) -> None:
        """A point of the history, from the sum of its window's losses; raises `DivergedError` where that is none."""
        if not np.isfinite(loss):
            raise DivergedError(f"the training loss became {loss / texts} by step {step}; try a smaller learning rate")
        self._window_mean = loss / texts
        self.step_points.append(StepPoint(step, epoch, self._window_mean, rate))

    def look(self) -> None:
        """Scores the validation texts, keeps the best weights and tells the pace, which may end the training."""
        task, protocol = self.task, self.task.protocol
        scores: QuickScores | None = None
        if task.validation is not None:
            started = time.perf_counter()
            scores = quick_scores(task.classifier, task.validation, protocol)
            for hook in self.hooks:
                hook.evaluated(time.perf_counter() - started)
        whole, rest = divmod(self.texts, len(task.train))
        epochs = whole + rest / len(task.train) if rest else whole
        since, self._since = self._since, _Since()
        point = EpochPoint(
            epoch=epochs,
            step=self.steps_done,
            train_loss=since.loss / since.texts,
            train_accuracy=since.correct / since.texts,
            validation_loss=None if scores is None else scores.loss,
            validation_accuracy=None if scores is None else scores.accuracy,
            validation_macro_f1=None if scores is None else scores.macro_f1,
            learning_rate=self.step_points[-1].learning_rate,
            train_seconds=since.seconds,
            changed=None if scores is None else self._changed(scores),
        )
        self.epoch_points.append(point)
        self.last = scores
        self._keep(epochs, scores)
        told = None if scores is None else Look(scores.loss, score_of(scores, protocol.select))
        self.pace.looked(told, self.seconds)
        for hook in self.hooks:
            hook.looked(point)
        if self._stops_early(scores):
            self.pace.stop()

    def _put_best_back(self) -> None:
        load_trained(self.task.classifier, self.task.checkpoint)
        for hook in self.hooks:
            hook.put_back()

    def _fell_behind(self) -> bool:
        """Whether the best weights are better than the present ones by more than noise: twice the deviation of a
        difference of paired answers. The best of many looks at few texts is often no more than the luckiest.
        """
        best, last, protocol = self.kept, self.last, self.task.protocol
        if protocol.keep == "last" or best is None or last is None or best is last:
            return False
        ahead = score_of(best, protocol.select) - score_of(last, protocol.select)
        if protocol.select == "loss":
            return ahead > SMALLEST_GAIN * last.loss
        changed = (best.logits.argmax(axis=1) != last.logits.argmax(axis=1)).mean()
        return ahead > 2 * math.sqrt(changed / len(last.logits))

    def _changed(self, scores: QuickScores) -> float | None:
        """The share of the validation texts whose answer is another than about an epoch before."""
        predicted = scores.logits.argmax(axis=1)
        before = self._epoch_before(self.steps_done)
        if self.pace.steady:
            self.answers.append(_Answers(self.steps_done, scores.accuracy, predicted))
        return None if before is None else float((before.predicted != predicted).mean())

    def _epoch_before(self, step: int) -> _Answers | None:
        """The last look that lies at least an epoch before a step; else the first one before it."""
        earlier = [each for each in self.answers if each.step < step]
        old = [each for each in earlier if each.step <= step - self.epoch_steps]
        return old[-1] if old else earlier[0] if earlier else None

    def gain(self) -> tuple[float | None, float | None]:
        """The validation accuracy gained over the last epoch at the full learning rate, and its noise."""
        last = self.answers[-1] if self.answers else None
        before = None if last is None else self._epoch_before(last.step)
        if last is None or before is None:
            return None, None
        passed = (last.step - before.step) / self.epoch_steps
        changed = float((before.predicted != last.predicted).mean())
        noise = 2 * math.sqrt(changed / len(last.predicted))
        return (last.accuracy - before.accuracy) / passed, noise / passed  # both of one epoch

    def _keep(self, epochs: int | float, scores: QuickScores | None) -> None:
        """Remembers where the best weights are; of equal scores the lower loss counts where the end is not known."""
        protocol = self.task.protocol
        score = -math.inf if scores is None else score_of(scores, protocol.select)
        rank = (score, -scores.loss if scores is not None and protocol.epochs == "auto" else 0.0)
        if protocol.keep == "last" or scores is None or rank > self.best_score or not self.best_epoch:
            self.best_epoch, self.best_score, self.kept = epochs, rank, scores
            for hook in self.hooks:
                hook.kept()
            if protocol.keep == "best" and self.steps_done < self.pace.most_steps:
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


@dataclass
class _Since:
    """Sums over the steps since the last look at validation."""

    loss: float = 0.0
    correct: int = 0
    texts: int = 0
    seconds: float = 0.0
