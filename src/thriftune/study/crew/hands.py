"""Threads that each see to one run's process, and tell the thread that leads them."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue

from thriftune.results.record import RunRecord
from thriftune.study.crew.places import Place
from thriftune.study.events import RunTold
from thriftune.study.run.job import Emit, Job
from thriftune.study.run.process import Abandoned

Make = Callable[[Job, Emit, dict[str, str], Connection], RunRecord]
"""Makes one run with variables of its own; the connection stops it: see `in_process`."""


@dataclass(frozen=True)
class Made:
    """A run has ended."""

    job: Job
    """As it was given."""
    record: RunRecord | None
    """None: it was abandoned."""
    beside: int
    """The most other runs on its device at once while it was under way."""


@dataclass
class _Run:
    job: Job
    place: Place
    stop: Connection
    thread: threading.Thread | None = None
    beside: int = 0


@dataclass
class Hands:
    """The runs under way; all but what the threads do belongs to the thread that leads."""

    make: Make
    said: SimpleQueue[RunTold | tuple[str, RunRecord | BaseException]] = field(default_factory=SimpleQueue)
    runs: dict[str, _Run] = field(default_factory=dict)
    """By run id."""

    @property
    def busy(self) -> list[Place]:
        """The places that are taken."""
        return [run.place for run in self.runs.values()]

    def start(self, given: Job, ready: Job, place: Place) -> None:
        """Has a thread make a run."""
        receiver, sender = multiprocessing.Pipe(duplex=False)
        run = _Run(given, place, sender)

        def work() -> None:
            told: RunRecord | BaseException
            try:
                told = self.make(ready, self.said.put, place.variables, receiver)
            except BaseException as error:  # noqa: BLE001 - it is raised again by the thread that leads
                told = error
            receiver.close()
            self.said.put((given.run_id, told))

        run.thread = threading.Thread(target=work, name=f"run {given.run_id}", daemon=True)
        self.runs[given.run_id] = run
        for each in self.runs.values():
            each.beside = max(each.beside, sum(_share(each, other) for other in self.runs.values()))
        run.thread.start()

    def hear(self, seconds: float | None = None) -> RunTold | Made | None:
        """What comes next; None where nothing does in so many seconds. Raises what a run's thread raised."""
        try:
            message = self.said.get(timeout=seconds)
        except Empty:
            return None
        if not isinstance(message, tuple):
            return message
        key, told = message
        run = self.runs.pop(key)
        assert run.thread is not None
        run.thread.join()
        run.stop.close()
        if isinstance(told, Abandoned):
            return Made(run.job, None, run.beside)
        if isinstance(told, BaseException):
            raise told
        return Made(run.job, told, run.beside)

    def abandon(self, run_id: str) -> None:
        """Kills a run's process at once, and leaves its folder as it is; `hear` tells when it is done."""
        if (run := self.runs.get(run_id)) is not None:
            with suppress(OSError):
                run.stop.send_bytes(b"abandoned")

    def end(self) -> None:
        """Ends every run as an interrupt does, and waits until their processes are gone."""
        for run in self.runs.values():
            run.stop.close()
        for run in self.runs.values():
            if run.thread is not None and run.thread.ident is not None:
                run.thread.join()
        self.runs.clear()


def _share(one: _Run, other: _Run) -> bool:
    """Whether two runs are on one device: the processors, or one GPU."""
    if one is other:
        return False
    if one.job.device == "cuda":
        return other.job.device == "cuda" and one.place.gpu == other.place.gpu
    return True


@contextmanager
def hands(make: Make) -> Iterator[Hands]:
    """Threads that are gone, with the processes that they see to, when the block is left."""
    found = Hands(make)
    try:
        yield found
    finally:
        found.end()
