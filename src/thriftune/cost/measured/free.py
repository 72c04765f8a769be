"""How much memory the machine has, and what of it this process may still take."""

from __future__ import annotations

import os
from pathlib import Path

from thriftune.processors import control_groups


def free_memory() -> int | None:
    """Bytes that could still be taken, of the machine or of this process's control group; None where nothing says."""
    _, free = system_memory()
    limit = memory_limit()
    known = [each for each in (free, limit[1] if limit else None) if each is not None]
    return min(known, default=None)


def system_memory(root: Path = Path("/")) -> tuple[int | None, int | None]:
    """Bytes that the machine has, and that programs could still take; None for what is not known."""
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        held = {line.split(":")[0]: int(line.split()[1]) * 1024 for line in lines if line.endswith(" kB")}
    except (OSError, ValueError, IndexError):
        held = {}
    if "MemTotal" in held:
        return held["MemTotal"], held.get("MemAvailable", held.get("MemFree"))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), None
    except (AttributeError, OSError, ValueError):
        return None, None


def memory_limit(root: Path = Path("/")) -> tuple[int, int] | None:
    """The least limit of this process's control groups and what is free below it, in bytes; None without a limit."""
    found = []
    for number, folder in control_groups("memory", root):
        names = ("memory.max", "memory.current") if number == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
        try:
            limit, used = (int((folder / name).read_text(encoding="ascii")) for name in names)
        except (OSError, ValueError):  # no such group, or "max"
            continue
        if 0 < limit < 1 << 60:  # version 1 writes a number near 2^63 for no limit
            found.append((limit, max(0, limit - used)))
    return min(found, default=None)
