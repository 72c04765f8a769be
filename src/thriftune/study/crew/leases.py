"""Runs that several processes take from one folder, each under a lease: a crew of one process among them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from thriftune.results.record import RunRecord
from thriftune.study.crew.base import Ready
from thriftune.study.crew.hands import Made
from thriftune.study.crew.places import Place
from thriftune.study.crew.workers import Workers
from thriftune.study.events import Listener
from thriftune.study.run.job import Job
from thriftune.study.shared.holder import machine
from thriftune.study.shared.lease import Lease, Leases, Standing
from thriftune.wording import plural

LOOK_SECONDS = 2.0
"""Between two looks at what others have taken."""


@dataclass
class Leased:
    """The runs of a shared plan: those that nobody has, or that a dead process had."""

    leases: Leases
    jobs: Sequence[Job]
    gpus: bool
    wait: bool
    """Whether to stay while others have the last runs."""
    say: Callable[[str], None] = lambda text: None
    look_seconds: float = LOOK_SECONDS
    mine: dict[str, Lease] = field(default_factory=dict)
    _beside: dict[str, int] = field(default_factory=dict)
    _found: Standing = field(default_factory=Standing)
    _looked: float = -float("inf")
    _idle: bool = False
    """Whether nothing was free at the last look."""
    _said: bool = False

    def take(self, place: Place) -> Job | None:
        """See `Supply`."""
        found = self._look()
        open_ = [
            job
            for job in self.jobs
            if job.run_id not in found.done and job.run_id not in self.mine and place.takes(job, self.gpus)
        ]
        # A look at the names says which were never taken; whose holder is dead only its file says.
        for job in [*(j for j in open_ if j.run_id not in found.last), *(j for j in open_ if j.run_id in found.last)]:
            device = _device(job, place)
            lease = self.leases.take(job.run_id, found, device)
            if lease is not None:
                self.mine[job.run_id] = lease
                found.last[job.run_id] = lease.number
                self._count(found)
                self._idle = False
                return job
        self._idle = True
        if self.wait and not self.mine and not self._said and (left := self.left()):
            self._said = True
            self.say(f"Nothing is free: others are making {plural(left, 'run')}. Waiting for their end.")
        return None

    def put_back(self, job: Job) -> None:
        """See `Supply`."""
        self.mine.pop(job.run_id).release()

    def over(self) -> bool:
        """See `Supply`."""
        return self.left() == 0 or (self._idle and not self.wait)

    def kept(self, made: Made) -> Made | None:
        """See `Supply`."""
        lease = self.mine[made.job.run_id]
        if made.record is None or not lease.valid:
            del self.mine[lease.key]
            self.leases.presence.let_go(lease.key)
            return None
        self._count(self._look())
        return replace(made, beside=max(made.beside, self._beside.pop(lease.key, 0)))

    def finished(self, job: Job) -> None:
        """See `Supply`."""
        self.mine.pop(job.run_id).done()
        self._found.done.add(job.run_id)

    def lost(self) -> list[str]:
        """See `Supply`."""
        return [key for key in self.leases.presence.lost() if key in self.mine]

    def left(self) -> int:
        """How many runs are not done yet, whoever has them."""
        done = self._look().done
        return sum(job.run_id not in done for job in self.jobs)

    @contextmanager
    def held(self) -> Iterator[None]:
        """What is held in the block is given up after it."""
        try:
            yield
        finally:
            for lease in self.mine.values():
                lease.release()
            self.mine.clear()

    def _look(self) -> Standing:
        if time.monotonic() - self._looked >= self.look_seconds:
            self._found, self._looked = self.leases.standing(), time.monotonic()
            if not self.leases.folder.exists():  # another process has finished the study
                self._found.done.update(job.run_id for job in self.jobs)
        return self._found

    def _count(self, found: Standing) -> None:
        """Notes how many runs others make on the same device as each of this process's."""
        now = self.leases.presence.now()
        others = []
        for key, number in found.last.items():
            if key in found.done or key in self.mine:
                continue
            heard = self.leases.holder(key, number)
            if heard is not None and heard.holder is not None and heard.alive(now):
                others.append(heard.holder)
        for lease in self.mine.values():
            own = lease.holder.device
            here = [
                other
                for other in others
                if other.machine == machine() and other.token != lease.holder.token and own in ("cpu", other.device)
            ]
            self._beside[lease.key] = max(self._beside.get(lease.key, 0), len(here))


@dataclass(frozen=True)
class LeaseCrew:
    """A crew on one machine that takes its runs from a folder which other crews take theirs from too."""

    workers: Workers
    leased: Leased

    def records(self, jobs: Sequence[Job], ready: Ready, listen: Listener) -> Iterator[tuple[Job, RunRecord]]:
        """See `Crew`; yields what this process made, and ends when nothing is left for it."""
        order = {job.run_id: index for index, job in enumerate(jobs, start=1)}
        seconds = min(self.leased.look_seconds, 1.0)
        yield from self.workers.supplied(self.leased, order, ready, listen, seconds, self.leased.held())


def _device(job: Job, place: Place) -> str:
    if job.device != "cuda":
        return "cpu"
    return f"cuda {place.gpu or os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}"
