"""Runs that nobody trains: jobs, and how they are made in this process."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.results.examples import COST

from thriftune.engine.protocol import Protocol
from thriftune.methods import find
from thriftune.models.head import HeadSettings
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.events import RunProgress
from thriftune.study.file.plan import PlannedRun
from thriftune.study.run.job import Emit, Job, blank_record


def job(folder: Path, number: int, device: str = "cpu") -> Job:
    method: Any = find("majority")()
    planned = PlannedRun(f"run {number}", f"run {number}", None, method, HeadSettings(), 0, Protocol())
    run_id = f"{number:016x}"
    return Job(planned, run_id, ("a", "b"), ("text",), {}, {}, None, device, folder / "runs" / run_id, {})


@dataclass
class Making:
    """Makes a run in some seconds, or until it is stopped; knows how many there were at once."""

    seconds: float = 0.05
    at_once: int = 0
    most: int = 0
    seen: list[tuple[str, Mapping[str, str], int | None]] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, job: Job, emit: Emit, variables: Mapping[str, str], stop: Connection) -> RunRecord:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
            self.seen.append((job.planned.name, variables, job.threads))
        emit(RunProgress(job.planned.name, "training", 1, 1))
        stopped = bool(wait([stop], timeout=self.seconds))
        with self._lock:
            self.at_once -= 1
            self.ended.append(job.planned.name)
        if stopped:
            raise KeyboardInterrupt
        return made(job)


def made(job: Job) -> RunRecord:
    """The record of a run that is done, which lies in its folder."""
    folder = RunFolder(job.out)
    folder.clear()
    record = replace(blank_record(job, "done", None), cost=COST)
    folder.write_record(record)
    return record


@dataclass
class Slowly:
    """Makes a run in some seconds and writes down that it began and that it ended; can be sent to a process."""

    log: Path
    seconds: float

    def __call__(self, job: Job, emit: Emit, variables: Mapping[str, str], stop: Connection) -> RunRecord:
        self._say("began", job)
        time.sleep(self.seconds)
        record = made(job)
        self._say("ended", job)
        return record

    def _say(self, what: str, job: Job) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{what} {job.run_id} {os.getpid()}\n")
