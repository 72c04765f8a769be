"""The listener that tells trackers of a study: each in a thread of its own, so that a slow one delays no run."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from thriftune.errors import first_line
from thriftune.paths import named
from thriftune.results.record import RunRecord
from thriftune.results.store import Store
from thriftune.study.events import (
    Event,
    Listener,
    Notice,
    RunFinished,
    RunLooked,
    RunProgress,
    RunStarted,
    StudyPlanned,
)
from thriftune.tracking.base import TrackedStudy, Tracker, check, tracker
from thriftune.tracking.values import Point, live, logged

PATIENCE = 120.0
"""Seconds that the end of a study waits for its trackers."""
AT_AN_END = 10.0
"""The same where the study was interrupted."""
LIVE_EVERY = 1.0
"""Seconds between the points of a run under way."""
Task = Callable[[Tracker], None]


class Tracking:
    """Passes a study's events on, and tells its trackers of them."""

    def __init__(self, names: Sequence[str], study: TrackedStudy, listener: Listener | None) -> None:
        self._listener: Listener = listener or (lambda event: None)
        self._store = Store(study.out)
        self._threads = [_Thread(name, study) for name in names]
        self._ids: dict[str, str] = {}
        self._last: dict[str, float] = {}

    def __call__(self, event: Event) -> None:
        """Takes the event in."""
        self._listener(event)
        if not self._threads:
            return
        match event:
            case StudyPlanned():
                self._ids = dict(event.run_ids)
                for thread in self._threads:
                    thread.start()
            case RunStarted(name) if name in self._ids:
                self._tell(_begun(self._ids[name], name))
            case RunProgress(name) if name in self._ids:
                self._follow(name, live(event))
            case RunLooked(name) if name in self._ids:
                self._point(name, live(event))
            case RunFinished(_, record, reused):
                self._tell(_finished(record, self._store, reused))
        self._say()

    def report(self, page: Path) -> None:
        """Tells of the study's page."""
        self._tell(lambda to: to.report(page, named(page)))

    def close(self, patience: float) -> None:
        """Ends; waits for what the trackers still have to do, at most so many seconds."""
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.end(max(1.0, until - time.monotonic()))
        self._say()

    def _follow(self, name: str, point: Point | None) -> None:
        now = time.monotonic()
        if point is not None and now - self._last.get(name, 0.0) >= LIVE_EVERY:
            self._last[name] = now
            self._point(name, point)

    def _point(self, name: str, point: Point | None) -> None:
        if point is not None:
            run_id, at = self._ids[name], point
            self._tell(lambda to: to.progress(run_id, at.step, at.values), droppable=True)

    def _tell(self, task: Task, droppable: bool = False) -> None:
        for thread in self._threads:
            thread.tell(task, droppable)

    def _say(self) -> None:
        for thread in self._threads:
            for text in thread.notices():
                self._listener(Notice(text))


def _begun(run_id: str, name: str) -> Task:
    return lambda to: to.begin(run_id, name)


def _finished(record: RunRecord, store: Store, reused: bool) -> Task:
    def finish(to: Tracker) -> None:
        if not (reused and to.holds(record.run_id)):
            to.finish(logged(record, store))

    return finish


class _Thread:
    """One tracker's: makes the tracker and does what is asked, in order; its first error ends it with a notice."""

    MOST_WAITING = 100
    """Tasks beyond which points of runs under way are left out."""

    def __init__(self, name: str, study: TrackedStudy) -> None:
        self._name, self._study = name, study
        self._tasks: queue.Queue[Task | None] = queue.Queue()
        self._said: queue.Queue[str] = queue.Queue()
        self._broken = False
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"thriftune-track-{name}")

    def start(self) -> None:
        if not self._thread.is_alive():
            self._thread.start()

    def tell(self, task: Task, droppable: bool) -> None:
        if not self._broken and not (droppable and self._tasks.qsize() > self.MOST_WAITING):
            self._tasks.put(task)

    def notices(self) -> list[str]:
        found = []
        while not self._said.empty():
            found.append(self._said.get())
        return found

    def end(self, seconds: float) -> None:
        if self._thread.ident is None:
            return
        self._tasks.put(None)
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._broken = True
            self._said.put(f"{self._name} was not told of everything: it has not answered for {seconds:.0f} s.")

    def _run(self) -> None:
        try:
            to = tracker(self._name, self._study)
            self._said.put(f"Tracking with {self._name}: {to.where}")
            while (task := self._tasks.get()) is not None:
                task(to)
            to.close()
        except BaseException as error:  # noqa: BLE001 (whatever a tracker raises is not the study's end)
            self._broken = True
            self._said.put(
                f"Tracking with {self._name} has ended: {type(error).__name__}: {first_line(error)}. The study "
                f"goes on; the same command, repeated, tells {self._name} of the runs that it lacks."
            )


@contextmanager
def tracked(names: Sequence[str], study: str, out: Path, listener: Listener | None) -> Iterator[Tracking]:
    """A listener that tells the trackers of these names too; without names it only passes on.

    Raises `InputError` for names that are none, missing packages and missing keys.
    """
    found = Tracking(check(names), TrackedStudy(study, out), listener)
    patience = AT_AN_END
    try:
        yield found
        patience = PATIENCE
    finally:
        found.close(patience)
