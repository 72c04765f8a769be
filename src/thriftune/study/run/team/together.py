"""Starts the processes that train a run together, and ends them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

from thriftune.study.run.job import Job, RunError
from thriftune.study.run.team.companion import companion
from thriftune.study.run.team.count import shares_steps
from thriftune.study.run.team.torchrun import call, launched

if TYPE_CHECKING:
    from thriftune.engine.parallel.team import Lost, Team

ENDING_SECONDS = 20.0
"""How long is waited for a process that was told that all is done."""


class BrokeOffError(Exception):
    """A process that trained with others is gone."""


class _ItsTracebackError(Exception):
    """Shows what another process said as the cause of an error here."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


@contextmanager
def together(job: Job) -> Iterator[Team | None]:
    """Inside, a run's steps, frozen passes and predictions are shared by as many processes as it asks for.

    This process is the first of them; None where it is the only one. They are those of torchrun, else they are started
    here. All others have ended when the block is left, however it is. Raises `RunError` or `BrokeOffError` where one of
    them is gone.
    """
    if not shares_steps(job):
        yield None
        return
    import torch

    from thriftune.engine.parallel.commands import End
    from thriftune.engine.parallel.team import Team, part_of_store, store_at, working

    launch = launched()
    others: list[BaseProcess] = []
    if launch is not None:
        store = launch.store()
        number = call(store)
    else:
        others, ports = _start(job.processes)
        store = store_at("127.0.0.1", 0, holds=True)
        number = 0
        for port in ports:
            port.send(store.port)
            port.close()
    team = Team(part_of_store(store, number), 0, job.processes, job.device)
    team.gone = lambda: _gone(others)
    try:
        if job.device == "cuda":
            torch.cuda.set_device(0 if launch is None else launch.local_rank)
        team.begin()
        with working(team):
            yield team
            team.tell(End())
        for process in others:
            process.join(ENDING_SECONDS)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        lost = team.lost()
        if lost is None:
            raise
        raise _of(lost, job.processes) from error if not lost.details else _ItsTracebackError(lost.details)
    finally:
        for process in others:
            process.kill()
            process.join()


def _of(lost: Lost, size: int) -> Exception:
    """What a process's end is for the run."""
    who = f"process {lost.rank + 1} of the {size} that train together"
    if lost.status == "out_of_memory":
        return RunError("out_of_memory", f"{who}: {lost.message}")
    if lost.status == "refused":
        return RunError("failed", lost.message)
    return BrokeOffError(f"{who} ended: {lost.message}")


def _start(size: int) -> tuple[list[BaseProcess], list[Any]]:
    """All processes but this one, and the connections by which each learns the store's port.

    They are forked where that is possible: they then need not import anything.
    """
    context: Any = multiprocessing.get_context("fork" if _may_fork() else "spawn")
    processes, ports = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads beside, which only wait
        for rank in range(1, size):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=companion, args=(rank, size, 0, receiver), daemon=True)
            process.start()
            receiver.close()
            processes.append(process)
            ports.append(sender)
    return processes, ports


def _may_fork() -> bool:
    """Whether no library has threads here, which a fork would lose; a run's own process has none at its beginning."""
    if sys.platform != "linux" or multiprocessing.parent_process() is None:
        return False
    return len(os.listdir("/proc/self/task")) <= threading.active_count()


def _gone(processes: list[BaseProcess]) -> list[Lost]:
    from thriftune.engine.parallel.team import Lost

    found = []
    for rank, process in enumerate(processes, start=1):
        if process.exitcode is not None:
            code = process.exitcode
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            found.append(Lost(rank, "failed", f"its process broke off ({why})"))
    return found
