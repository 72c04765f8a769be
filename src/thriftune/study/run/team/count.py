"""How many processes train a run together, and whether they can."""

from __future__ import annotations

from collections.abc import Iterable

from thriftune.errors import InputError
from thriftune.methods.base import TransformerMethod
from thriftune.processors import usable_processors
from thriftune.study.file.plan import PlannedRun
from thriftune.study.run.job import Job
from thriftune.study.run.team.torchrun import launched

MOST = 1024


def processes_of(given: object, workers: object = 1) -> int:
    """The processes of each run: as many as are asked for, or as torchrun has started.

    Raises `InputError` where the number cannot be used, or torchrun's is another.
    """
    count = given if isinstance(given, int) and not isinstance(given, bool) else 0
    if not 1 <= count <= MOST:
        raise InputError(f"--processes takes a number of processes from 1 to {MOST:,}; {given!s:.40} is given.")
    launch = launched()
    if launch is None:
        return count
    if count not in (1, launch.size):
        raise InputError(f"--processes is {count}, but torchrun has started {launch.size}. Leave --processes out.")
    if str(workers) != "1":
        raise InputError(
            "The processes of torchrun train one run together, so runs cannot be made at once. Leave --workers out, or "
            "start without torchrun."
        )
    return launch.size


def check_processes(runs: Iterable[PlannedRun], count: int, workers: object = 1) -> None:
    """Raises `InputError` where a run cannot be trained by so many processes."""
    if count == 1:
        return
    for run in runs:
        if not isinstance(run.method, TransformerMethod):
            continue
        size = run.protocol.batch_size
        if size < count:
            raise InputError(
                f"{run.name}: a batch of {size} text{'s' * (size != 1)} (protocol.batch_size) cannot be split over "
                f"{count} processes. Use fewer processes, or larger batches."
            )
        _check_gpus(run, count, workers)


def _check_gpus(run: PlannedRun, count: int, workers: object) -> None:
    """Each process needs a GPU of its own."""
    import torch

    if run.protocol.device == "cpu" or not torch.cuda.is_available():
        return
    if str(workers) != "1":
        raise InputError(
            f"{run.name}: with --workers {workers} each run has one GPU, with --processes {count} it needs {count}. "
            "Use one of the two."
        )
    launch = launched()
    here, there = count if launch is None else launch.local_size, torch.cuda.device_count()
    if here > there:
        raise InputError(
            f"{run.name}: {here} processes need {here} GPUs, and torch finds {there} here. Use --processes {there}, or "
            "protocol.device: cpu."
        )


def shares_steps(job: Job) -> bool:
    """Whether several processes train a run together."""
    return job.processes > 1 and isinstance(job.planned.method, TransformerMethod)


def threads_of(job: Job) -> int | None:
    """Processors for each process of a run; None: all that it may use."""
    if not shares_steps(job):
        return job.threads
    launch = launched()
    here = job.processes if launch is None else launch.local_size
    return max(1, (job.threads or usable_processors()) // here)
