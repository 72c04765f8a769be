"""What every crew does: it makes the runs that it is given, wherever and in whatever order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from thriftune.processors import BESIDE
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.events import Listener
from thriftune.study.run.job import Emit, Job
from thriftune.wording import plural

Execute = Callable[[Job, Emit], RunRecord]
"""Makes one run and returns its record, which lies in the run's folder by then."""
Ready = Callable[[Job], Job]
"""Called just before a job starts: adds what is known of it by then, such as its prediction."""


class Crew(Protocol):
    """Makes runs."""

    def records(self, jobs: Sequence[Job], ready: Ready, listen: Listener) -> Iterator[tuple[Job, RunRecord]]:
        """Makes every run and yields it with its record when it is finished, in any order.

        The job that is yielded is the one that was given. `ready`, `listen` and the iterator belong to the thread that
        iterates: the crew calls both in that one alone. `listen` is told of each start (`RunStarted`, whose `index`
        and `total` count these jobs, from 1) and of progress (`RunProgress`); of the end the caller tells. A run that
        fails has a record like any other; an exception ends the study. Closing the iterator ends the runs under way.
        """
        ...


def marked(record: RunRecord, job: Job, others: int, where: str = "device") -> RunRecord:
    """A run's record, on disk too, with what is to be known of its cost: how many others were where it ran."""
    if not others or record.cost is None or job.done:
        return record
    note = (
        f"{BESIDE} {plural(others, 'other run')} on the same {where}: its seconds say less than those of a run alone, "
        "its memory is its own."
    )
    record = replace(record, cost=replace(record.cost, runs_beside=others), notes=[*record.notes, note])
    folder = RunFolder(job.out)
    if folder.complete:
        folder.write_record(record)
    return record
