"""A process that helps to train a run: it joins the team and does what the first process tells."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.errors import InputError, first_line

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from thriftune.engine.parallel.helper import Loaded
    from thriftune.engine.parallel.step import SharedStep
    from thriftune.study.run.job import Job


def companion(rank: int, size: int, number: int, port: Connection) -> None:
    """The whole of a process on the first one's machine; the store's port comes by the connection."""
    import signal

    from thriftune.endings import SIGNALS, end_with_parent

    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL if each == getattr(signal, "SIGTERM", None) else signal.SIG_IGN)
    end_with_parent()
    from thriftune.engine.parallel.team import store_at

    try:
        found: int = port.recv()
    except (EOFError, OSError):
        return  # the first process is gone
    attend(store_at("127.0.0.1", found, holds=False), number, rank, size, rank)


def attend(store: Any, number: int, rank: int, size: int, local_rank: int, over: Callable[[], bool] = bool) -> None:
    """Joins a team and serves it; what goes wrong is left in the store for the first process to tell."""
    import torch

    from thriftune.engine.parallel.helper import Tools, serve
    from thriftune.engine.parallel.team import Team, part_of_store, working

    own = part_of_store(store, number)
    own.wait(["device"])
    device = own.get("device").decode()
    team = Team(own, rank, size, device)
    team.over = over
    try:
        if device == "cuda":
            torch.cuda.set_device(local_rank)
        team.join()
        with working(team):
            serve(team, Tools(_load, _peak, _process_peak))
    except Exception as error:  # noqa: BLE001 - the first process says it
        memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "allocate memory" in str(error)
        status = "out_of_memory" if memory else "refused" if isinstance(error, InputError) else "failed"
        message = str(error) if status == "refused" else f"{type(error).__name__}: {first_line(error)}"
        team.give_up(status, message, traceback.format_exc())


def _load(job: Job, without: int) -> Loaded:
    """The run's model and texts, as the first process loads them; raises `InputError` where a file is not here."""
    from thriftune.engine.parallel.helper import Loaded
    from thriftune.methods.base import TransformerMethod
    from thriftune.study.run.team.count import threads_of
    from thriftune.study.run.training import load, use_machine

    needed = [*job.tokens.values(), *job.splits.values(), *([] if job.model is None else [job.model])]
    if missing := next((path for path in needed if not path.exists()), None):
        raise InputError(
            f"{missing} is not there for a process that trains with others. All machines need the results folder and "
            "the model's folder under the same paths."
        )
    use_machine(job, threads_of(job))
    method = job.planned.method
    assert isinstance(method, TransformerMethod)
    return Loaded(load(job, without), job.examples(job.frames(texts=False)), job.planned.protocol, method.watch)


def _peak(step: SharedStep, texts: np.ndarray) -> int:
    from thriftune.cost.measured.memory import probe

    return probe(step, [texts] * step.protocol.accumulate)[0]


def _process_peak() -> int:
    from thriftune.cost.measured.environment import process_peak_bytes

    return process_peak_bytes()
