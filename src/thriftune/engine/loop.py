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

from thriftune.endings import asked_to_end
from thriftune.engine.checkpoint import load_trained, save_trained
from thriftune.engine.examples import Examples
from thriftune.engine.gpu.graphs import GraphedSteps, steps_of
from thriftune.engine.gpu.readings import Readings
from thriftune.engine.hooks import DivergedError, Hook, Progress
from thriftune.engine.pace import SMALLEST_GAIN, Look, Pace, Stretch
from thriftune.engine.predict import QuickScores, quick_scores, score_of
from thriftune.engine.protocol import Protocol
from thriftune.engine.resume import loop_state
from thriftune.engine.resume.saver import Checkpoints, Place
from thriftune.engine.resume.sums import Answers, Since, Sums
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
    checkpoints: Checkpoints | None = None
    """Where the training is written to while it goes on, and taken up again; None: nowhere."""


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
        self.answers: list[Answers] = []
        """Of the looks at the full learning rate."""
        self.best_epoch: int | float = 0
        self.best_score = (-math.inf, -math.inf)
        self.kept: QuickScores | None = None
        self.last: QuickScores | None = None
        self.stopping_best = math.inf
        self.stopping_bad = 0
        self.window_mean: float | None = None
        self.since = Since()
        self.sums = Sums.zero(task.classifier.device)
        self.place = 0
        """Steps of the stretch under way that are done."""
        self.untrained = loop_state.Untrained(task.classifier)
        self._started: float | None = None

    def train(self) -> None:
        """Runs all stretches, or those that a checkpoint leaves; leaves the kept weights in the classifier."""
        protocol = self.task.protocol
        self._begin()
        for stretch in self.pace.stretches():
            if stretch.falls and not self.place and self._fell_behind():
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

    def _begin(self) -> None:
        """Tells method and hooks, and takes up what a checkpoint has of this training."""
        task, checkpoints = self.task, self.task.checkpoints
        state = None if checkpoints is None else checkpoints.take("training")
        if checkpoints is not None:
            checkpoints.keep(task.checkpoint)
            checkpoints.provide("training", partial(loop_state.state_of, self))
        if state is not None:
            loop_state.restore_hooks(self, state)
        task.classifier.train_mode(task.protocol.frozen_dropout == "on")
        if task.watcher is not None:
            task.watcher.started(self.pace.most_steps)
        for hook in self.hooks:
            hook.train_started(self.step)
        self.step.updated = self._updated if task.watcher is not None else None
        self.steps = steps_of(self.step, changed_between=task.watcher is not None)
        if state is not None:
            loop_state.restore(self, state)

    def _updated(self) -> None:
        assert self.task.watcher is not None
        self.task.watcher.updated(self.steps_done + 1)

    def train_stretch(self, stretch: Stretch) -> None:
        """Runs steps; only they are timed, and they are charged even if training breaks off in them."""
        self.task.classifier.train_mode(self.task.protocol.frozen_dropout == "on")
        self._start_clock()
        try:
            self._steps(stretch)
        finally:
            self._stop_clock()

    def _start_clock(self) -> None:
        for hook in self.hooks:
            hook.steps_started()
        if self.task.checkpoints is not None:
            self.task.checkpoints.started()
        synchronize(self.task.classifier.device)
        self._started = time.perf_counter()

    def _stop_clock(self) -> None:
        if self._started is None:
            return
        synchronize(self.task.classifier.device)
        seconds, self._started = time.perf_counter() - self._started, None
        self.seconds += seconds
        self.since.seconds += seconds
        if self.task.checkpoints is not None:
            self.task.checkpoints.trained(seconds)
        for hook in self.hooks:
            hook.steps_done(seconds)

    def _steps(self, stretch: Stretch) -> None:
        """The steps of a stretch; adds their losses and hits to what was trained since the last look."""
        task, device = self.task, self.task.classifier.device
        rates = [task.learning_rate * factor for factor in stretch.factors]
        window = max(1, self.pace.most_steps // LOSS_POINTS)
        last, done = self.steps_done - self.place + len(rates), self.place
        if not done:
            self.sums, self.window_mean = Sums.zero(device), None
        sums, self.step.done = self.sums, self.steps_done
        for rate, result in zip(rates[done:], self.steps.epoch(stretch.groups[done:], rates[done:]), strict=True):
            self.steps_done += 1
            self.place += 1
            self.texts += result.texts
            sums.texts += result.texts
            sums.window_texts += result.texts
            sums.window_loss += result.loss
            sums.correct += result.correct
            if self.steps_done % window == 0 or self.steps_done == last:
                point = partial(self._point, self.steps_done, self.texts / len(task.train), sums.window_texts, rate)
                self.readings.ask(sums.window_loss, point)
                sums.loss += sums.window_loss
                sums.window_loss, sums.window_texts = torch.zeros((), device=device), 0
            self.readings.take()
            steps, most = self.steps_done, self.pace.most_steps
            for hook in self.hooks:
                hook.stepped(Progress(stretch.epoch, steps, most, self.texts, self.window_mean, rate))
            self._may_pause()
        self.readings.take(wait=True)
        self.since.loss += sums.loss.item()
        self.since.correct += int(sums.correct.item())
        self.since.texts += sums.texts
        self.place = 0

    def _may_pause(self) -> None:
        """Between two steps: writes a checkpoint where one is due, and ends where this process is asked to."""
        checkpoints, ends = self.task.checkpoints, asked_to_end()
        if checkpoints is not None:
            checkpoints.stepped(time.perf_counter() - (self._started or 0.0))
            if ends or checkpoints.due():
                self.readings.take(wait=True)
                self._stop_clock()
                checkpoints.write(Place(self.steps_done, self.pace.most_steps))
                if not ends:
                    self._start_clock()
        if ends:
            raise KeyboardInterrupt

    def _point(self, step: int, epoch: float, texts: int, rate: float, loss: float) -> None:
        """A point of the history, from the sum of its window's losses; raises `DivergedError` where that is none."""
        if not np.isfinite(loss):
            raise DivergedError(f"the training loss became {loss / texts} by step {step}; try a smaller learning rate")
        self.window_mean = loss / texts
        self.step_points.append(StepPoint(step, epoch, self.window_mean, rate))

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
        since, self.since = self.since, Since()
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
            self.answers.append(Answers(self.steps_done, scores.accuracy, predicted))
        return None if before is None else float((before.predicted != predicted).mean())

    def _epoch_before(self, step: int) -> Answers | None:
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
