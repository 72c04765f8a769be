"""The places in which runs are made at once on one machine: each with its share of processors, perhaps with a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from thriftune.cost.measured.free import free_memory
from thriftune.errors import InputError
from thriftune.processors import usable_processors
from thriftune.study.run.job import Job

Count = int | Literal["auto"]
"""How many runs at once are asked for."""
PROCESSORS_EACH = 4
"""Of `auto` on a CPU: with fewer a training is slower than its share, with more it gains little."""
MOST = 1024
PROCESS_BYTES = 700_000_000
"""Of a run's process beside what its training is estimated to need: Python and its libraries."""
BASELINE_BYTES = 500_000_000
"""A run without a transformer: a guess."""


@dataclass(frozen=True)
class Place:
    """Room for one run at a time."""

    threads: int | None
    """Processors that its runs may use; None: all of the process's."""
    gpu: str | None = None
    """What `CUDA_VISIBLE_DEVICES` is to say; None leaves it as it is."""

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment of its runs' processes."""
        found = {} if self.gpu is None else {"CUDA_VISIBLE_DEVICES": self.gpu}
        if self.threads is not None and "POLARS_MAX_THREADS" not in os.environ:
            found["POLARS_MAX_THREADS"] = str(self.threads)
        return found

    def takes(self, job: Job, gpus: bool) -> bool:
        """Whether a run can be made here; `gpus`: whether GPUs are handed out."""
        return not gpus or job.device != "cuda" or self.gpu is not None


def checked(workers: object) -> Count:
    """What was asked for; raises `InputError` where it is no count."""
    if isinstance(workers, str) and workers.strip().lower() == "auto":
        return "auto"
    try:
        count = int(workers) if isinstance(workers, int | str) and not isinstance(workers, bool) else 0
    except ValueError:
        count = 0
    if not 1 <= count <= MOST:
        raise InputError(f"--workers takes a number of runs from 1 to {MOST:,}, or auto; {workers!s:.40} is given.")
    return count


def places(workers: Count) -> list[Place]:
    """Places for so many runs at once; `auto`: one for each GPU, else one for four processors.

    N places on P processors have P // N threads each, at least 1. GPUs go to the first places, one each; further places
    take runs that need none.
    """
    gpus, processors = visible_gpus(), usable_processors()
    count = (len(gpus) or max(1, processors // PROCESSORS_EACH)) if workers == "auto" else workers
    if count == 1:
        return [Place(None, gpus[0] if len(gpus) > 1 else None)]
    share = max(1, processors // count)
    return [Place(share, gpus[number] if number < len(gpus) else None) for number in range(count)]


def visible_gpus() -> list[str]:
    """What to put into `CUDA_VISIBLE_DEVICES` for each GPU that this process may use."""
    import torch

    if not torch.cuda.is_available():
        return []
    named = [each.strip() for each in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if each.strip()]
    count = torch.cuda.device_count()
    return named[:count] if named else [str(number) for number in range(count)]


def need(job: Job) -> int:
    """Bytes of main memory that a run is expected to take, by its prediction; a guess where it has none."""
    if job.device == "cuda" or job.planned.method.BASELINE or job.predicted is None:
        return BASELINE_BYTES if job.model is None else PROCESS_BYTES + BASELINE_BYTES
    return PROCESS_BYTES + job.predicted.peak_memory_bytes


@dataclass
class Memory:
    """What is free of the machine's memory, beside what runs that have just begun will still take."""

    free: Callable[[], int | None] = free_memory
    promised: dict[str, int] = field(default_factory=dict)
    """Bytes by run id of the runs under way."""
    total: int | None = None
    """Free before the first run began."""

    def holds(self, job: Job) -> bool:
        """Whether a run fits beside those under way; the only one always does."""
        if not self.promised:
            self.total = self.free()
            return True
        return self.total is None or sum(self.promised.values()) + need(job) <= self.total
