"""How many processors this process may use, what it got of them, and how it shares them with others."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import RLock

SPINS = "2000"
"""How often a thread of torch's OpenMP library looks for work before it sleeps, about 20 microseconds. The library's
own choice is 300,000, for milliseconds: on a busy machine a waiting thread then keeps the processor from whoever has
work (docs/how-it-is-fast.md)."""
BUSY = "The machine was busy"
"""How the note of a run begins that was held up by other work."""
BESIDE = "Measured beside"
"""How the note of a run begins that shared its device with other runs of its study."""
_STARTING = RLock()
CHOICES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Variables by which a user decides that."""

SHAPES = "128"
"""Of so many shapes oneDNN keeps what it compiled, in each of its two caches; its own choice is 1,024."""


def bound_caches(variables: MutableMapping[str, str]) -> None:
    """Has oneDNN keep what it compiled for the last shapes alone, unless the user has chosen.

    To be called on `os.environ` before torch is loaded. What predicts without end has another number of rows in every
    batch, and would grow by hundreds of megabytes.
    """
    for name in ("LRU_CACHE_CAPACITY", "ONEDNN_PRIMITIVE_CACHE_CAPACITY"):
        variables.setdefault(name, SHAPES)


def wait_briefly(variables: MutableMapping[str, str]) -> None:
    """Makes OpenMP threads sleep soon when they wait, unless the user has chosen.

    To be called on `os.environ` before torch is loaded: its OpenMP library reads the variable then.
    """
    if not any(name in variables for name in CHOICES):
        variables[CHOICES[0]] = SPINS


@contextmanager
def brief_waits() -> Iterator[None]:
    """What is started inside gets the variables of `wait_briefly`; this process keeps its own."""
    with _STARTING:  # in another thread's block the variables would pass for the user's
        if any(name in os.environ for name in CHOICES):
            yield
            return
        wait_briefly(os.environ)
        try:
            yield
        finally:
            os.environ.pop(CHOICES[0], None)


def usable_processors() -> int:
    """Processors that this process may use: those it may run on, or as many as its CPU quota is worth, rounded up."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return max(1, count if quota is None else min(count, math.ceil(quota)))


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Processors that the control groups of this process grant it at most; None where there is no limit.

    The least of its own group's and of those above it, under either version of the interface. `root` holds `proc`
    and `sys`.
    """
    found: list[float | None] = []
    for version, folder in control_groups("cpu", root):
        found.append(_quota_v2(folder) if version == 2 else _quota_v1(folder))
    return min((quota for quota in found if quota is not None), default=None)


def control_groups(controller: str, root: Path = Path("/")) -> Iterator[tuple[int, Path]]:
    """Folders of this process's control groups with a controller, and of those above: (version of the interface, it).

    Nothing where the system has none; a folder may not exist.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return
    mounts = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if not controllers:
            for mount in (mounts, mounts / "unified"):
                yield from ((2, folder) for folder in _upwards(mount, path))
        elif controller in controllers.split(","):
            for name in dict.fromkeys((controllers, controller, "cpu,cpuacct")):
                yield from ((1, folder) for folder in _upwards(mounts / name, path))


def _upwards(mount: Path, path: str) -> list[Path]:
    """A group's folder and those above it; the mount itself is the group where a container sees no more."""
    parts = [part for part in PurePosixPath(path).parts if part not in ("/", "..", ".")]
    return [mount.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def _quota_v2(folder: Path) -> float | None:
    words = _words(folder / "cpu.max")
    return _processors(words[0], words[1] if len(words) > 1 else "100000") if words else None


def _quota_v1(folder: Path) -> float | None:
    quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
    return _processors(quota[0], period[0]) if quota and period else None


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, ValueError):
        return []


def _processors(quota: str, period: str) -> float | None:
    """None for "max", -1 and whatever is no limit."""
    try:
        found = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):
        return None
    return found if found > 0 else None


@dataclass(frozen=True)
class ProcessorTime:
    """What this process has had of the machine's processors, all threads together."""

    used: float
    """Seconds, in programs and in the kernel."""
    waited: float | None
    """Seconds that its present threads were ready to run while others ran; None where the system does not count."""

    @classmethod
    def now(cls) -> ProcessorTime:
        """Since the process began."""
        return cls(time.process_time(), _waited())

    def since(self, before: ProcessorTime) -> ProcessorTime:
        """The time between two readings."""
        known = self.waited is not None and before.waited is not None
        return ProcessorTime(self.used - before.used, max(0.0, self.waited - before.waited) if known else None)  # type: ignore[operator]

    def __add__(self, other: ProcessorTime) -> ProcessorTime:
        known = self.waited is not None and other.waited is not None
        return ProcessorTime(self.used + other.used, self.waited + other.waited if known else None)  # type: ignore[operator]


def _waited() -> float | None:
    try:
        tasks = list(Path("/proc/self/task").iterdir())
    except OSError:
        return None
    nanoseconds = 0
    for task in tasks:
        try:
            nanoseconds += int((task / "schedstat").read_text(encoding="ascii").split()[1])
        except FileNotFoundError:
            if not task.exists():  # a thread that has ended meanwhile
                continue
            return None
        except (OSError, ValueError, IndexError):
            return None
    return nanoseconds / 1e9


def load_average() -> float | None:
    """How many processes of the whole machine wanted to run, over the last minute; None where it is not known."""
    try:
        return os.getloadavg()[0]
    except (AttributeError, OSError):
        return None
