"""Versions and hardware that a study's numbers depend on, and the memory that a process took."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from thriftune.cost.measured.growth import resident
from thriftune.processors import usable_processors


def environment(device: str, training: bool = True) -> dict[str, Any]:
    """Versions, device and threads that a run's numbers depend on; a run that trains no model loads no torch."""
    out: dict[str, Any] = {
        name: version(name) for name in ("thriftune", "torch", "transformers", "peft", "numpy", "scikit-learn")
    }
    out |= {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "processor": _processor(),
    }
    if training:
        import torch

        from thriftune.models.ops.kernels.build import build

        out["threads"] = torch.get_num_threads()
        if device == "cuda":
            out["gpu"] = torch.cuda.get_device_name()
        else:
            out["kernels"] = build().reason or "compiled"
    return out


def use_all_processors(most: int | None = None) -> None:
    """Lets torch use every processor that this process may use, at most so many; OMP_NUM_THREADS, where it is set,
    decides."""
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(min(usable_processors(), most or usable_processors()))


def process_peak_bytes() -> int:
    """Largest resident set of this process so far, in bytes."""
    import resource

    # What getrusage says begins at the size of the process that started this one.
    own = resident("VmHWM")
    if own is not None:
        return own
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} logical processors)" if names else platform.processor()
