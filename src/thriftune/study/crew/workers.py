"""Several runs at once on this machine, each in a process of its own with a share of the processors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from thriftune.processors import usable_processors
from thriftune.results.record import RunRecord
from thriftune.study.crew.base import Ready, marked
from thriftune.study.crew.hands import Hands, Made, Make, hands
from thriftune.study.crew.places import Memory, Place, need
from thriftune.study.events import Listener, Notice, RunStarted
from thriftune.study.run.job import Job
from thriftune.wording import plural, size


class Supply(Protocol):
    """Where runs come from."""

    def take(self, place: Place) -> Job | None:
        """A run to be made in a place now; None where there is none now."""
        ...

    def put_back(self, job: Job) -> None:
        """What was taken is not made now after all."""
        ...

    def over(self) -> bool:
        """Whether no run will come any more."""
        ...

    def kept(self, made: Made) -> Made | None:
        """A run that was made, None where it does not count; called once for each that was taken and made."""
        ...

    def finished(self, job: Job) -> None:
        """A run's record lies in its folder as it is to stay."""
        ...

    def lost(self) -> list[str]:
        """Ids of runs under way that are another's now."""
        ...


@dataclass
class Listed:
    """A list of runs, in its order."""

    jobs: list[Job]
    gpus: bool

    def take(self, place: Place) -> Job | None:
        """See `Supply`."""
        found = next((job for job in self.jobs if place.takes(job, self.gpus)), None)
        if found is not None:
            self.jobs.remove(found)
        return found

    def put_back(self, job: Job) -> None:
        """See `Supply`."""
        self.jobs.insert(0, job)

    def over(self) -> bool:
        """See `Supply`."""
        return not self.jobs

    def kept(self, made: Made) -> Made | None:
        """See `Supply`."""
        return made

    def finished(self, job: Job) -> None:
        """See `Supply`."""

    def lost(self) -> list[str]:
        """See `Supply`."""
        return []


@dataclass(frozen=True)
class Workers:
    """A crew on one machine: as many runs at once as there are places."""

    make: Make
    places: list[Place]
    memory: Memory = field(default_factory=Memory)

    @property
    def gpus(self) -> bool:
        """Whether GPUs are handed out."""
        return any(place.gpu is not None for place in self.places)

    def records(self, jobs: Sequence[Job], ready: Ready, listen: Listener) -> Iterator[tuple[Job, RunRecord]]:
        """See `Crew`."""
        order = {job.run_id: index for index, job in enumerate(jobs, start=1)}
        if (few := few_gpus(self.places, jobs)) is not None:
            listen(Notice(few))
        yield from self.supplied(Listed(list(jobs), self.gpus), order, ready, listen)

    def supplied(
        self,
        supply: Supply,
        order: dict[str, int],
        ready: Ready,
        listen: Listener,
        poll: float | None = None,
        holding: AbstractContextManager[object] | None = None,
    ) -> Iterator[tuple[Job, RunRecord]]:
        """Makes what a supply has; `order` are the places of all runs from 1, `poll` seconds between looks at it.

        `holding` is held until the last process is gone.
        """
        with holding or nullcontext(), hands(self.make) as under_way:
            waiting = _Waiting()
            while under_way.runs or not supply.over():
                self._start(under_way, supply, order, ready, listen, waiting)
                if not under_way.runs and (poll is None or supply.over()):
                    break
                message = under_way.hear(poll)
                for run_id in supply.lost():
                    under_way.abandon(run_id)
                if isinstance(message, Made):
                    self.memory.promised.pop(message.job.run_id, None)
                    waiting.job = None
                    kept = supply.kept(message)
                    if kept is not None and kept.record is not None:
                        record = marked(kept.record, kept.job, kept.beside)
                        supply.finished(kept.job)
                        yield kept.job, record
                elif message is not None:
                    listen(message)

    def _start(
        self,
        under_way: Hands,
        supply: Supply,
        order: dict[str, int],
        ready: Ready,
        listen: Listener,
        waiting: _Waiting,
    ) -> None:
        """Fills the places that are free, as far as memory goes."""
        free = list(self.places)
        for place in under_way.busy:
            free.remove(place)
        for place in free:
            if waiting.job is not None:
                return
            job = supply.take(place)
            if job is None:
                continue
            prepared = self._prepared(ready(job), place)
            if not self.memory.holds(prepared):
                supply.put_back(job)
                waiting.job = job
                if not waiting.said:
                    waiting.said = True
                    listen(Notice(self._too_many(prepared, len(under_way.runs))))
                return
            self.memory.promised[job.run_id] = need(prepared)
            listen(RunStarted(job.planned.name, order[job.run_id], len(order)))
            under_way.start(job, prepared, place)

    def _prepared(self, job: Job, place: Place) -> Job:
        """A run with its share of the processors; seconds were predicted for all of them."""
        if place.threads is None or job.device == "cuda":
            return job
        predicted = job.predicted
        if predicted is not None and place.threads < usable_processors():
            why = f"the run has {plural(place.threads, 'thread')}; the machine's speeds are those of all processors"
            predicted = predicted.without_times(why)
        return replace(job, predicted=predicted, threads=place.threads)

    def _too_many(self, job: Job, running: int) -> str:
        free = self.memory.total or 0
        return (
            f"{plural(running, 'run')} at once instead of {len(self.places)}, as far as memory goes: "
            f"{job.planned.name} would need about {size(need(job))} more, and {size(free)} were free before the first."
        )


def few_gpus(places: Sequence[Place], jobs: Sequence[Job]) -> str | None:
    """What is said where fewer runs at once can have a GPU than are asked for."""
    count = sum(place.gpu is not None for place in places)
    if not 0 < count < len(places) or not any(job.device == "cuda" for job in jobs):
        return None
    return (
        f"{plural(count, 'run')} at once on {plural(count, 'GPU')}, one each; the other {len(places) - count} of the "
        f"{len(places)} that were asked for take runs that need none."
    )


@dataclass
class _Waiting:
    """The run that waits for memory until another has ended."""

    job: Job | None = None
    said: bool = False
