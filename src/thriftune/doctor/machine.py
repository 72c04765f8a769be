"""Processors, memory, processes and GPUs that a study can use."""

from __future__ import annotations

import multiprocessing
import os
import platform
import sys
from collections.abc import Iterator

from thriftune.cost.measured.free import memory_limit, system_memory
from thriftune.doctor.finding import Finding
from thriftune.processors import cpu_quota, load_average, usable_processors
from thriftune.wording import plural, size

LITTLE = 2e9
"""Bytes of free memory below which even the demo may not fit: a run's process holds some 0.7 GB before its model."""


def processors() -> Iterator[Finding]:
    """How many processors a run uses, what limits them, and whether others use them now."""
    usable, there, quota = usable_processors(), os.cpu_count() or 1, cpu_quota()
    text = f"{usable} of {there} usable, {platform.machine()}"
    if quota is not None:
        text += f"; a control group grants {quota:g}"
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is not None and threads != str(usable):
        yield Finding("Processors", text)
        text = f"OMP_NUM_THREADS is {threads}: runs use so many"
        yield Finding("Threads", text, "note", "unset OMP_NUM_THREADS to use all usable processors")
    elif (load := load_average()) is not None and load > usable + 0.5:
        text += f"; over the last minute {load:.1f} processes wanted to run"
        yield Finding("Processors", text, "note", "measured times will be too long while others compute here")
    else:
        yield Finding("Processors", text)


def memory() -> Iterator[Finding]:
    """The memory of the machine or of this process's control group, and what is free of it."""
    total, free = system_memory()
    limit = memory_limit()
    if limit is not None and (total is None or limit[0] < total):
        total, free = limit[0], min(limit[1], free if free is not None else limit[1])
    if total is None or free is None:
        yield Finding("Memory", "the system does not say how much there is")
    elif free < LITTLE:
        remedy = "end other programs, or take a smaller model; `thriftune estimate STUDY --memory 2GB` says what fits"
        yield Finding("Memory", f"{size(free)} free of {size(total)}", "note", remedy)
    else:
        yield Finding("Memory", f"{size(free)} free of {size(total)}")


def processes() -> Iterator[Finding]:
    """Whether processes can share a lock, as the runs of a study do."""
    try:
        multiprocessing.get_context("spawn").Lock()
    except OSError as error:
        remedy = "mount /dev/shm and make it writable; in a container: --shm-size 1g"
        yield Finding("Processes", f"cannot share a lock ({error.strerror})", "fails", remedy)
    else:
        yield Finding("Processes", "each run can have one of its own")


def gpu() -> Iterator[Finding]:
    """GPUs that torch can use, and why it cannot use one that is there."""
    import torch

    driver, names = _driver()
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        name = torch.cuda.get_device_name()
        cards = plural(torch.cuda.device_count(), "GPU")
        text = f"{cards}; the first, {name}, has {size(free)} free of {size(total)}; driver {driver or 'unknown'}"
        yield Finding("GPU", f"{text}, CUDA {torch.version.cuda}")
    elif names:
        build = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        remedy = (
            "update the driver, or install a torch built for an earlier CUDA"
            if torch.version.cuda
            else "install a torch with CUDA (pytorch.org lists them)"
        )
        text = f"{names[0]} with driver {driver} is there, but torch {torch.__version__}, {build}, cannot use it"
        yield Finding("GPU", text, "note", f"{remedy}; studies run on the processors meanwhile")
    elif sys.platform == "darwin":
        yield Finding("GPU", "none that is used: studies run on the processors (Apple's GPUs are not supported)")
    else:
        yield Finding("GPU", "none: studies run on the processors")


def _driver() -> tuple[str | None, list[str]]:
    """NVIDIA's driver version and the names of its GPUs; nothing where there is no driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None, []
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return str(pynvml.nvmlSystemGetDriverVersion()), [str(pynvml.nvmlDeviceGetName(each)) for each in handles]
    finally:
        pynvml.nvmlShutdown()
