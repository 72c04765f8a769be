"""The hook of a trial: adds up its seconds, and ends it where it lies below the others."""

from __future__ import annotations

from collections.abc import Callable

from thriftune.cost.measured.meter import CostMeter
from thriftune.engine.hooks import StopTraining
from thriftune.engine.step import Step
from thriftune.results.history import EpochPoint

TICKS = 4
"""A training of known length is judged at quarters of it."""

Judge = Callable[[int, float], bool]
"""Takes the tick and the score there, more being better; whether the trial should end."""


class TrialWatch(CostMeter):
    """Measures seconds alone (no probes of memory), and keeps every look at validation.

    Trainings of different lengths are compared at equal shares of their length, because their rates fall over the
    whole of it; a training whose length is open (`epochs: auto`) by the epochs done.
    """

    def __init__(self, epochs: int | None, select: str, report: Judge | None) -> None:
        super().__init__([], 0)
        self._epochs = epochs
        self._select = select
        self._report = report
        self._tick = 0
        self.points: list[EpochPoint] = []
        self.best: float | None = None
        """The best score so far, more being better."""
        self.prefix_seconds = 0.0
        self.prefix_layers = 0

    def train_started(self, step: Step) -> None:
        """Notes what the frozen layers cost; probes nothing."""
        self._device = step.classifier.device
        prefix = step.examples.prefix
        if prefix is not None:
            self.prefix_seconds, self.prefix_layers = prefix.seconds, prefix.layer

    def looked(self, point: EpochPoint) -> None:
        """Keeps the look; raises `StopTraining` where the trial is to end."""
        self.points.append(point)
        score = point_score(point, self._select)
        if score is None:
            return
        self.best = score if self.best is None else max(score, self.best)
        if self._report is None:
            return
        reached = int(point.epoch if self._epochs is None else TICKS * point.epoch / self._epochs + 1e-9)
        stop = False
        for tick in range(self._tick + 1, reached + 1):
            stop = self._report(tick, score) or stop
        self._tick = max(self._tick, reached)
        if stop and (self._epochs is None or reached < TICKS):
            raise StopTraining(
                "lay below the median of the trials before it after "
                + (f"{reached} epochs" if self._epochs is None else f"{point.epoch:g} of {self._epochs} epochs")
            )


def point_score(point: EpochPoint, select: str) -> float | None:
    """A look's score, of which more is better; None where there was no validation, or it is not finite."""
    if select == "loss":
        loss = point.validation_loss
        return -loss if loss is not None and abs(loss) < float("inf") else None
    return point.validation_accuracy if select == "accuracy" else point.validation_macro_f1
