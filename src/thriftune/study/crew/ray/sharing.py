"""Which runs were on one node at the same time: their seconds say less than those of a run that was alone."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.crew.ray.mailbox import Began
from thriftune.study.run.job import Job
from thriftune.wording import plural

SHARED = "The run shared its node of the cluster with"


@dataclass
class Sharing:
    """Keeps account of who runs where, by the nodes' own clocks: what is told arrives late."""

    _places: dict[int, Began] = field(default_factory=dict)
    _others: dict[int, set[int]] = field(default_factory=dict)

    def began(self, task: int, place: Began) -> None:
        """A task runs."""
        self._places[task] = place
        self._others.setdefault(task, set())

    def ended(self, task: int, at: float) -> int:
        """A task has ended; how many others were on its node meanwhile."""
        place, found = self._places.pop(task, None), self._others.pop(task, set())
        if place is None:
            return 0
        for other, there in self._places.items():
            if there.node == place.node and there.at < at:
                found.add(other)
                self._others[other].add(task)
        return len(found)

    def marked(self, record: RunRecord, others: int, job: Job) -> RunRecord:
        """The record with a note where the run shared its node, on disk too."""
        if not others or record.cost is None:
            return record
        beside = plural(others, "other run")
        note = f"{SHARED} {beside} of the study: its seconds say less than those of a run that is alone."
        shared = replace(record, notes=[*record.notes, note])
        RunFolder(job.out).write_record(shared)
        return shared
