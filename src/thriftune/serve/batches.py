"""Requests that come together are computed together: a queue, and one thread that computes."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from thriftune.engine.allocator import give_back
from thriftune.serve.limits import Limits
from thriftune.serve.models import Asked, Predicts

TIDY_SECONDS = 5.0
"""Batches are of all sizes, so freed memory comes to lie in more and more pieces: so often it goes back."""
LOG = logging.getLogger("thriftune.serve")


@dataclass(eq=False)
class Job:
    """The texts of one request."""

    asked: Asked
    tokens: int
    future: asyncio.Future[np.ndarray]
    result: np.ndarray | None = None
    error: BaseException | None = None


@dataclass
class Batches:
    """Gathers jobs and computes them, oldest first.

    A job that comes alone is computed at once. After a batch of several, the next one waits for more up to
    `limits.wait` seconds or `limits.batch` tokens: whoever sent them will send again, unless nobody did for so long.
    Where a batch fails its jobs are
    computed one by one, so that one request's texts do not spoil another's answer.
    """

    predict: Predicts
    limits: Limits
    observe: Callable[[int], None] = lambda texts: None
    """Told the number of texts of each batch."""
    _jobs: deque[Job] = field(default_factory=deque)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Starts the thread."""
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Computes what waits, and ends the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join()

    async def submit(self, asked: Asked, tokens: int) -> np.ndarray:
        """Probabilities (texts, labels) of a request's texts; cancelled, it is not computed where it still waits."""
        job = Job(asked, tokens, asyncio.get_running_loop().create_future())
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()
        return await job.future

    def waiting(self) -> int:
        """Jobs that are not being computed yet."""
        return len(self._jobs)

    def _work(self) -> None:
        crowded, tidied = False, time.monotonic()
        while jobs := self._gather(crowded):
            crowded = len(jobs) > 1
            jobs = [job for job in jobs if not job.future.cancelled()]
            if jobs:
                self._compute(jobs)
                self.observe(sum(len(job.asked[1][0]) for job in jobs))
                _deliver(jobs)
            if time.monotonic() - tidied > TIDY_SECONDS:
                give_back()
                tidied = time.monotonic()

    def _gather(self, crowded: bool) -> list[Job]:
        """The next batch; empty where there will be none."""
        with self._changed:
            idle = time.monotonic()
            while not self._jobs and not self._stopping:
                self._changed.wait()
            crowded = crowded and time.monotonic() - idle <= self.limits.wait
            until = time.monotonic() + self.limits.wait
            while crowded and not self._stopping and sum(job.tokens for job in self._jobs) < self.limits.batch:
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            jobs: list[Job] = []
            tokens = 0
            while self._jobs and (not jobs or tokens + self._jobs[0].tokens <= self.limits.batch):
                jobs.append(self._jobs.popleft())
                tokens += jobs[-1].tokens
            return jobs

    def _compute(self, jobs: list[Job]) -> None:
        try:
            for job, result in zip(jobs, self.predict([job.asked for job in jobs]), strict=True):
                job.result = result
        except BaseException as error:  # each job has its own answer, whatever went wrong
            if len(jobs) > 1:
                for job in jobs:
                    self._compute([job])
                return
            LOG.error("A request of %d texts failed", len(jobs[0].asked[1][0]), exc_info=error)
            jobs[0].error = error


def _deliver(jobs: list[Job]) -> None:
    """Gives every job its answer, in the loop that waits for it."""
    loops: dict[asyncio.AbstractEventLoop, list[Job]] = {}
    for job in jobs:
        loops.setdefault(job.future.get_loop(), []).append(job)
    for loop, own in loops.items():
        if not loop.is_closed():
            loop.call_soon_threadsafe(_settle, own)


def _settle(jobs: list[Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None or job.result is None:
            job.future.set_exception(RuntimeError("the model failed on these texts"))
        else:
            job.future.set_result(job.result)
