"""Leases: of all processes at a folder at most one has a thing, as long as it is heard of.

The n-th lease of a thing is the file `THING.n`. It is made whole by a link, which succeeds for one process alone, on
network file systems too; nobody ever replaces or deletes another's. Whoever finds the last one's holder dead makes the
next. A holder that was only thought dead finds that there is a next one, and lets go.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from thriftune.study.shared.holder import Heard, Holder, heard
from thriftune.study.shared.presence import Presence

DONE = "done"
HIDDEN = "."


@dataclass(frozen=True)
class Lease:
    """The right to a thing, while nobody has a later one."""

    key: str
    number: int
    path: Path
    presence: Presence
    holder: Holder

    @property
    def superseded(self) -> bool:
        """Whether another has a later one."""
        return self.path.with_name(f"{self.key}.{self.number + 1}").exists()

    @property
    def valid(self) -> bool:
        """Whether it is still the last one."""
        return self.key not in self.presence.lost() and self.path.exists() and not self.superseded

    def done(self) -> None:
        """Says that the thing is done, for good."""
        create(self.path.with_name(f"{self.key}.{DONE}"), self.holder)
        self.presence.let_go(self.key)

    def release(self) -> None:
        """Gives the thing up: another may take it at once."""
        self.presence.let_go(self.key)
        with suppress(OSError):
            spare = _spare(self.path)
            spare.write_bytes(self.holder.released_now().text)
            if self.valid:
                spare.replace(self.path)
            spare.unlink(missing_ok=True)


@dataclass
class Standing:
    """What the leases of a folder say."""

    last: dict[str, int] = field(default_factory=dict)
    """The number of the last lease of each thing."""
    done: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Leases:
    """The leases in a folder, for one process."""

    folder: Path
    presence: Presence

    def standing(self) -> Standing:
        """What is taken and what is done, by the names of the files alone."""
        return standing(self.folder)

    def holder(self, key: str, number: int) -> Heard | None:
        """Who has, or had, a lease."""
        return heard(self.folder / f"{key}.{number}")

    def take(self, key: str, found: Standing, device: str = "cpu") -> Lease | None:
        """A lease of a thing, by what was found of it; None where another has it, or was faster."""
        number = found.last.get(key, 0)
        if number:
            last = self.holder(key, number)
            if last is not None and last.alive(self.presence.now()):
                return None
        me = replace(self.presence.me, device=device)
        path = self.folder / f"{key}.{number + 1}"
        if not create(path, me):
            return None
        lease = Lease(key, number + 1, path, self.presence, me)
        self.presence.hold(key, path, lambda: lease.superseded)
        return lease

    @contextmanager
    def trying(self, key: str) -> Iterator[Lease | None]:
        """A lease for the block, given up after it; None where another has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lease = self.take(key, self.standing())
        try:
            yield lease
        finally:
            if lease is not None:
                lease.release()


def standing(folder: Path) -> Standing:
    """What is taken and what is done in a folder of leases."""
    found = Standing()
    try:
        names = [each.name for each in os.scandir(folder)]
    except FileNotFoundError:
        return found
    for name in names:
        key, _, end = name.rpartition(".")
        if not key or name.startswith(HIDDEN):
            continue
        if end == DONE:
            found.done.add(key)
        elif end.isdecimal():
            found.last[key] = max(int(end), found.last.get(key, 0))
    return found


def create(path: Path, holder: Holder) -> bool:
    """Makes a file that is not there, whole; False where it is there, or its folder is not."""
    spare = _spare(path)
    try:
        spare.write_bytes(holder.text)
        try:
            os.link(spare, path)
        except FileExistsError:
            # NFS may repeat a request that was answered: two names of the file say that it was this one's.
            return spare.stat().st_nlink > 1
        except PermissionError:
            return _exclusively(path, holder)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                return False
            return _exclusively(path, holder)  # a file system without links
        return True
    except FileNotFoundError:
        return False
    finally:
        with suppress(OSError):
            spare.unlink(missing_ok=True)


def _exclusively(path: Path, holder: Holder) -> bool:
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except (FileExistsError, FileNotFoundError):
        return False
    with os.fdopen(handle, "wb") as file:
        file.write(holder.text)
    return True


def _spare(path: Path) -> Path:
    return path.with_name(f"{HIDDEN}{path.name}.{uuid.uuid4().hex}")
