"""Who wrote a small file of a shared folder, and whether that process still lives."""

from __future__ import annotations

import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from thriftune.endings import is_there

LEASE_SECONDS = 60.0
"""A process not heard of for so long counts as dead."""
LEAST_SECONDS, MOST_SECONDS = 2.0, 86_400.0
BEATS = 6
"""How often a process is heard of in that time, while it lives."""


@dataclass(frozen=True)
class Holder:
    """A process, as it names itself in files that others read."""

    host: str
    pid: int
    machine: str
    """Stands for the boot of the machine, and for the container: what has the same one can look for `pid`."""
    born: str | None
    """When the process began, as the kernel counts; another process may have its number later."""
    token: str
    """Different for any two."""
    kind: str
    """compare or work."""
    since: float
    """Seconds since 1970, by its own clock."""
    seconds: float = LEASE_SECONDS
    """Not heard of for so long, it counts as dead."""
    device: str = "cpu"
    """What it computes on: cpu, or cuda with the GPUs that it sees."""
    session: str = ""
    """The shared plan whose runs it makes; empty before it does."""
    released: bool = False
    """Whether it gave up what the file stands for."""

    @property
    def words(self) -> str:
        """For messages: "node7, process 4711"."""
        return f"{self.host}, process {self.pid}"

    @property
    def text(self) -> bytes:
        """What its files hold."""
        return json.dumps(asdict(self)).encode()

    def released_now(self) -> Holder:
        """The same, having given up."""
        return replace(self, released=True)


def myself(kind: str, since: float, seconds: float = LEASE_SECONDS) -> Holder:
    """This process."""
    return Holder(
        socket.gethostname(), os.getpid(), machine(), born(os.getpid()), uuid.uuid4().hex, kind, since, seconds
    )


@dataclass(frozen=True)
class Heard:
    """A file of a holder, as it is read."""

    holder: Holder | None
    """None where the file is not whole yet, or damaged: only its age says something then."""
    at: float
    """When its holder was last heard of, by the clock of the file system."""

    def alive(self, now: float) -> bool:
        """Whether its process lives; `now` by the same clock. Of this machine's the kernel knows at once."""
        if self.holder is None:
            return now - self.at <= LEASE_SECONDS
        if self.holder.released:
            return False
        here = self.holder.machine == machine()
        return now - self.at <= self.holder.seconds and not (here and not lives(self.holder.pid, self.holder.born))


def heard(path: Path) -> Heard | None:
    """What a holder's file says; None where there is none.

    The file is opened: on NFS that asks the server when it was written, where a mere look may be a minute old.
    """
    try:
        with path.open("rb") as file:
            at = os.fstat(file.fileno()).st_mtime
            text = file.read(10_000)
    except OSError:
        return None
    return Heard(_holder(text), at)


def _holder(text: bytes) -> Holder | None:
    from thriftune.results.plain import record_from

    try:
        return record_from(Holder, json.loads(text))
    except (ValueError, RecursionError):
        return None


def lives(pid: int, since: str | None) -> bool:
    """Whether a process of this machine is there, and is the one that began then."""
    if not is_there(pid):
        return False
    now = born(pid)
    return since is None or now is None or now == since


def born(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's ticks; None where it does not say, or the process ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if fields[0] in ("Z", "X") else fields[19]


@cache
def machine() -> str:
    """The same for processes that see each other's numbers, and different for others."""
    parts: list[Any] = [socket.gethostname()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8],
        lambda: os.stat("/proc/self/ns/pid").st_ino,
    ):
        try:
            parts.append(read())
        except OSError:
            parts.append("")
    return ":".join(map(str, parts))
