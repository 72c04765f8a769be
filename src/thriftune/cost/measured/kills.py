"""Whether the kernel ended a process for want of memory, by its own counters; no guess is made from a signal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path("/")
FIRST_NAMESPACE = 4026531836
"""The kernel's name for the process numbers that its own messages use; a container has others."""


def kill_counts(root: Path = ROOT) -> dict[str, int]:
    """How many processes the kernel has ended for want of memory, by the counter that says so; empty where none does.

    The control group of this process counts its own (`oom_kill` in memory.events of version 2, in memory.oom_control
    of version 1), /proc/vmstat those of the whole machine. `root` is where both are mounted.
    """
    found = {}
    for name, path in {**_group_files(root), "machine": root / "proc/vmstat"}.items():
        try:
            count = re.search(r"^oom_kill (\d+)$", path.read_text(encoding="ascii", errors="replace"), re.MULTILINE)
        except OSError:
            continue
        if count is not None:
            found[name] = int(count[1])
    return found


def killed_for_memory(
    before: Mapping[str, int], now: Mapping[str, int], pid: int | None, log: Callable[[], str | None] | None = None
) -> bool:
    """Whether the kernel says that it ended the process for want of memory between two `kill_counts`.

    A control group's counter speaks of the processes in it; the machine's of all, so that the kernel's log, where it
    can be read, has the last word there.
    """
    for name in ("version 2", "version 1"):
        if name in before and name in now:
            if now[name] > before[name]:
                return True
            if name == "version 2":  # it counts every kill in the group, whichever limit was met
                return False
    if now.get("machine", 0) <= before.get("machine", now.get("machine", 0)):
        return False
    lines = (log or kernel_log)()
    return lines is None or pid is None or re.search(rf"\b[Kk]illed process {pid}\b", lines) is not None


def kernel_log() -> str | None:
    """The kernel's messages; None where this user may not read them, or they call processes by other numbers."""
    import os
    import subprocess

    try:
        if os.readlink("/proc/self/ns/pid") != f"pid:[{FIRST_NAMESPACE}]":
            return None
        made = subprocess.run(["dmesg"], capture_output=True, text=True, timeout=5, check=False)  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return None
    return made.stdout if made.returncode == 0 and made.stdout else None


def _group_files(root: Path) -> dict[str, Path]:
    """The files with the counters of this process's control groups; a container may hide the path of its own."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    found: dict[str, Path] = {}
    for line in lines:
        _, kinds, group = (*line.split(":", 2), "", "")[:3]
        if kinds == "":
            name, mounted, file = "version 2", root / "sys/fs/cgroup", "memory.events"
        elif "memory" in kinds.split(","):
            name, mounted, file = "version 1", root / "sys/fs/cgroup/memory", "memory.oom_control"
        else:
            continue
        for folder in (mounted / group.strip("/"), mounted):
            if (folder / file).is_file():
                found[name] = folder / file
                break
    return found
