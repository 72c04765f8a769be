"""What a node does: makes a run, or a search, as the study's own machine would."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from thriftune.errors import InputError
from thriftune.processors import wait_briefly
from thriftune.results.record import RunRecord
from thriftune.results.search import Trial
from thriftune.study.crew.ray.mailbox import Began, Told
from thriftune.study.crew.ray.parcel import Ended, Made, Parcel, Unfit, Unseen
from thriftune.study.crew.ray.pulse import pulse
from thriftune.study.crew.ray.seal import flaw

Outcome = Made | Unfit | Unseen | Ended


def make_run(parcel: Parcel, mailbox: Any) -> Outcome:
    """Makes a run in its folder; goes on from a checkpoint that lies there."""

    def make(job: Any, tell: Callable[[Told], None]) -> RunRecord:
        from thriftune.study.run.process import run_in_process
        from thriftune.study.run.worker import execute

        # What came by value no further process could be sent; this one makes nothing else then.
        return (execute if parcel.by_value else run_in_process)(job, tell)

    return _made(parcel, mailbox, make)


def make_search(parcel: Parcel, mailbox: Any) -> Outcome:
    """Makes the trials that a search does not have yet; what is found are all of them."""

    def make(job: Any, tell: Callable[[Told], None]) -> list[Trial]:
        from thriftune.study.search.execute import searched

        return searched(job, tell, isolate=not parcel.by_value)

    return _made(parcel, mailbox, make)


def _made(parcel: Parcel, mailbox: Any, make: Callable[[Any, Callable[[Told], None]], Any]) -> Outcome:
    import ray

    host = socket.gethostname()
    if why := flaw(parcel.seal):
        return Unfit(f"{host}: {why}")
    _prepare(parcel)
    if parcel.model is not None and not Path(parcel.model).is_dir():
        return Unseen(host)
    try:
        job = pickle.loads(parcel.payload)  # noqa: S301 - from the study itself
    except Exception as error:  # noqa: BLE001 - importing what it needs may fail in any way
        return Unfit(f"{host} cannot import what the run needs ({type(error).__name__}: {error})")
    job = _with_model(job, parcel.model)
    try:
        here = Began(ray.get_runtime_context().get_node_id(), host, time.time())
        with pulse(mailbox, parcel.task, parcel.attempt, here) as beating:
            return Made(make(job, beating.tell), time.time())
    except InputError as error:
        return Unfit(str(error))
    except KeyboardInterrupt:
        return Ended()


def _with_model(job: Any, model: str | None) -> Any:
    """The job of a run, or of a search, with the folder of its model that this node sees."""
    if model is None:
        return job
    inner = getattr(job, "job", None)
    return replace(job, model=Path(model)) if inner is None else replace(job, job=_with_model(inner, model))


def _prepare(parcel: Parcel) -> None:
    """Sets the variables that the run's process reads when it starts, and Python's path.

    A worker that was used before has the same ones: a study gives all its runs as many threads.
    """
    os.environ.update(parcel.variables)
    os.environ["OMP_NUM_THREADS"] = str(parcel.threads)
    os.environ.setdefault("POLARS_MAX_THREADS", str(parcel.threads))
    wait_briefly(os.environ)
    if parcel.cache is not None:
        os.environ.setdefault("THRIFTUNE_CACHE", parcel.cache)
    if parcel.code is not None and parcel.code not in sys.path:
        sys.path.append(parcel.code)
