"""The hook that tells a run's listener where training stands, a few times a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from thriftune.engine.train import Hook, Progress
from thriftune.study.events import RunProgress

if TYPE_CHECKING:
    from thriftune.cost.measured.meter import CostMeter
    from thriftune.study.file.plan import PlannedRun
    from thriftune.study.run.job import Emit

SECONDS_BETWEEN = 0.5


class ProgressHook(Hook):
    """Turns the loop's steps into `RunProgress` events."""

    def __init__(self, planned: PlannedRun, meter: CostMeter, emit: Emit) -> None:
        self._planned = planned
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

    def _report(self, progress: Progress, elapsed: float) -> None:
        self._emit(
            RunProgress(
                name=self._planned.name,
                stage="training",
                epoch=progress.epoch,
                epochs=None if self._open else self._planned.protocol.most_epochs,
                step=progress.step,
                steps=progress.steps,
                loss=progress.loss,
                samples_per_second=progress.texts / elapsed,
                memory_bytes=self._meter.peak_memory_bytes or None,
                seconds_left=None if self._open else elapsed / progress.step * (progress.steps - progress.step),
            )
        )
