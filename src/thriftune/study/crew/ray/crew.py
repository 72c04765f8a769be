"""A crew whose runs and searches are made by the nodes of a Ray cluster."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.cost.measured.environment import environment
from thriftune.errors import InputError
from thriftune.processors import usable_processors
from thriftune.results.files import DamagedError
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.results.search import Trial
from thriftune.results.store import Store
from thriftune.study.crew.base import Ready, marked
from thriftune.study.crew.ray.connection import connected
from thriftune.study.crew.ray.dispatch import Dispatch, Lost, Task, alive
from thriftune.study.crew.ray.mailbox import Began, Told
from thriftune.study.crew.ray.needs import needs_of, threads_of
from thriftune.study.crew.ray.parcel import Parcel, Seal, Shared, packed
from thriftune.study.crew.ray.seal import check_nodes, sealed
from thriftune.study.crew.ray.settings import LOCAL, MOST_THREADS, RaySettings
from thriftune.study.crew.ray.sharing import Sharing
from thriftune.study.crew.ray.task import make_run, make_search
from thriftune.study.events import Listener, Notice, RunStarted
from thriftune.study.folder import WORK
from thriftune.study.run.job import Job, blank_record
from thriftune.study.search.parts import gather, part_of

if TYPE_CHECKING:
    from thriftune.study.search.job import SearchJob

SENT = ("THRIFTUNE_KERNELS",)
"""Variables of the study's that decide its numbers, and go to the nodes."""


@contextmanager
def ray_crew(settings: RaySettings, out: Path, listen: Listener) -> Iterator[RayCrew]:
    """Inside, the crew is connected to its cluster, whose nodes were asked whether they can make the study's runs.

    Raises `InputError` where Ray is not there, or some node cannot. `out` is there already.
    """
    with connected(settings):
        folder = out.resolve() / WORK / "ray"
        nodes = alive()
        seal = sealed(folder)
        threads = threads_of(settings.threads, os.environ.get("OMP_NUM_THREADS"), nodes, MOST_THREADS)
        # A node without processors, such as a head that only directs, makes no runs.
        for remark in check_nodes([node for node in nodes if node.processors >= 1], seal, out):
            listen(Notice(remark))
        yield RayCrew(settings, Store(out.resolve()), Shared(folder), seal, threads, any(node.gpus for node in nodes))


@dataclass(frozen=True)
class RayCrew:
    """Makes runs on the connected cluster, as many at once as its nodes hold."""

    settings: RaySettings
    store: Store
    shared: Shared
    seal: Seal
    threads: int
    """Of each run, wherever it is made: its numbers depend on them."""
    gpus: bool
    """Whether some node has a GPU."""

    def records(self, jobs: Sequence[Job], ready: Ready, listen: Listener) -> Iterator[tuple[Job, RunRecord]]:
        """See `Crew`. A run that no node can hold, or that is lost more often than it is started again, has failed."""
        readied: dict[int, Job] = {}
        sharing = Sharing()
        begun: set[int] = set()

        def tasks() -> Iterator[Task]:
            for number, job in enumerate(jobs):
                readied[number] = self._foretold(ready(job))
                yield self._task(number, job.planned.name, readied[number])

        def hear(task: Task, told: Told) -> None:
            number = task.parcel.task
            if not isinstance(told, Began):
                listen(told)
                return
            sharing.began(number, told)
            if number not in begun:
                begun.add(number)
                listen(RunStarted(task.name, number + 1, len(jobs)))

        notice, visible = lambda text: listen(Notice(text)), self._visible(jobs)
        outcomes = Dispatch(self.settings, make_run, hear, notice, visible, _killed).outcomes(tasks())
        try:
            for task, found in outcomes:
                number = task.parcel.task
                if isinstance(found, Lost):
                    sharing.ended(number, time.time())
                    yield jobs[number], _lost(readied[number], found)
                else:
                    others = sharing.ended(number, found.at)
                    beside = 0 if jobs[number].device == "cuda" else others  # it has its GPU to itself
                    yield jobs[number], marked(found.found, readied[number], beside, "node")
        finally:
            outcomes.close()

    def searches(self, jobs: Sequence[SearchJob], listen: Listener) -> Iterator[tuple[SearchJob, list[Trial]]]:
        """Makes every search, several at once, each one's trials one after the other; yields them as they end.

        Raises `InputError` for a search that cannot be made, or is lost more often than it is started again.
        """

        def tasks() -> Iterator[Task]:
            for number, job in enumerate(jobs):
                yield self._task(number, f"The search for {job.search.cell}", job.job, part_of(job, self.store))

        def hear(task: Task, told: Told) -> None:
            if not isinstance(told, Began):
                listen(told)

        notice, visible = lambda text: listen(Notice(text)), self._visible([job.job for job in jobs])
        outcomes = Dispatch(self.settings, make_search, hear, notice, visible).outcomes(tasks())
        try:
            for task, found in outcomes:
                if isinstance(found, Lost):
                    raise InputError(f"{task.name} could not be made. {found.why}")
                gather(self.store, [jobs[task.parcel.task].search.key])
                yield jobs[task.parcel.task], found.found
        finally:
            outcomes.close()
            gather(self.store)

    def _foretold(self, job: Job) -> Job:
        """A run with what was predicted for it; seconds are those of the machine that leads the study, as a whole."""
        same = self.settings.address == LOCAL and (job.device == "cuda" or self.threads == usable_processors())
        if same or job.predicted is None:
            return job
        why = "a node of the cluster makes the run; the speeds that are known are those of the machine that leads it"
        return replace(job, predicted=job.predicted.without_times(why))

    def _task(self, number: int, name: str, job: Job, search: SearchJob | None = None) -> Task:
        payload, by_value = packed(_absolute(job) if search is None else _search_absolute(search))
        parcel = Parcel(
            task=number,
            payload=payload,
            model=None if job.model is None else str(job.model.resolve()),
            code=self.shared.code(type(job.planned.method)),
            by_value=by_value,
            threads=self.threads,
            cache=os.environ.get("THRIFTUNE_CACHE"),
            variables={variable: os.environ[variable] for variable in SENT if variable in os.environ},
            seal=self.seal,
        )
        return Task(name, needs_of(job, self.threads), parcel)

    def _visible(self, jobs: Sequence[Job]) -> Any:
        def visible(parcel: Parcel) -> Parcel | None:
            job = jobs[parcel.task]
            assert job.model is not None
            copy = self.shared.model(str(job.planned.model), job.model)
            return None if copy is None else replace(parcel, model=str(copy))

        return visible


def _killed(record: RunRecord) -> str | None:
    """A run whose process was killed, on a node that goes on, is lost as with its node."""
    return str(record.message) if record.status == "killed" else None


def _lost(job: Job, lost: Lost) -> RunRecord:
    """The record of a run that was given up, which it also writes; what lies in its folder may be gone on with."""
    folder = RunFolder(job.out)
    if (found := _finished(folder, job)) is not None:
        return found
    record = blank_record(job, "out_of_memory" if lost.memory else "failed", lost.why)
    record = replace(record, environment={**environment(job.device, training=False), **job.checkout})
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.write_record(record)
    return record


def _absolute(job: Job) -> Job:
    """The job as it can be read in any working directory."""
    return replace(
        job,
        splits={name: path.resolve() for name, path in job.splits.items()},
        tokens={name: path.resolve() for name, path in job.tokens.items()},
        out=job.out.resolve(),
    )


def _search_absolute(search: SearchJob) -> SearchJob:
    return replace(search, job=_absolute(search.job), database=search.database.resolve())


def _finished(folder: RunFolder, job: Job) -> RunRecord | None:
    """The record of a run whose node was lost after the last thing that it did."""
    try:
        found = folder.read_record() if folder.complete else None
    except DamagedError:
        return None
    return found if found is not None and found.status == "done" and found.run_id == job.run_id else None
