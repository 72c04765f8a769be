"""One run after the other, in the study's order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from thriftune.results.record import RunRecord
from thriftune.study.crew.base import Execute, Ready
from thriftune.study.events import Listener, RunStarted
from thriftune.study.run.job import Job


@dataclass(frozen=True)
class Serial:
    """A crew of one; `execute` makes each run, in a process of its own or in this one."""

    execute: Execute

    def records(self, jobs: Sequence[Job], ready: Ready, listen: Listener) -> Iterator[tuple[Job, RunRecord]]:
        """See `Crew`."""
        for index, job in enumerate(jobs, start=1):
            listen(RunStarted(job.planned.name, index, len(jobs)))
            yield job, self.execute(ready(job), listen)
