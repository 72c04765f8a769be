"""The local copy of a folder elsewhere: where it lies, and what was the same on both sides when they last met."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from thriftune.errors import InputError
from thriftune.folders import cache_folder
from thriftune.paths import stands_for
from thriftune.remote.manifest import Entries, entries_of
from thriftune.remote.url import last_name, shown
from thriftune.results.files import DamagedError, read_json, write_json


class WorkingCopy:
    """`CACHE/remote/HASH`: the folder of one URL, by its hash, and beside it what is known of the other side."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base = copies() / hashlib.sha256(url.encode()).hexdigest()[:16]
        self.folder = self.base / last_name(url)
        self._state = self.base / "state.json"
        self.synced: Entries = {}
        """Files here that were the same there, as they are here."""
        self.remote: dict[str, str] = {}
        """What lay there when the two last met: hash, or size where no hash is known, by name."""
        stands_for(self.folder, shown(url))
        self.load()

    def load(self) -> None:
        """Reads what is known of both sides; nothing where that is damaged: then all is compared anew."""
        try:
            found = read_json(self._state)
            self.synced = entries_of(found["synced"])
            self.remote = {str(name): str(about) for name, about in found["remote"].items()}
        except (DamagedError, KeyError, AttributeError):
            self.synced, self.remote = {}, {}

    def save(self) -> None:
        """Writes it."""
        entries = {name: asdict(entry) for name, entry in self.synced.items()}
        write_json(self._state, {"url": shown(self.url), "synced": entries, "remote": self.remote})

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keeps other processes of this machine out of the copy; gives whether that succeeded.

        Raises `InputError` where no copy can be made.
        """
        from filelock import FileLock, Timeout

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.base / "lock", timeout=0)
            lock.acquire()
        except Timeout:
            yield False
            return
        except OSError as error:
            raise InputError(
                f"{self.folder}, the working copy of {shown(self.url)}, cannot be written ({error.strerror}). Name "
                "another folder for caches in THRIFTUNE_CACHE."
            ) from error
        try:
            self.load()
            yield True
        finally:
            lock.release()


def copies() -> Path:
    """Where the working copies of folders elsewhere lie."""
    return cache_folder() / "remote"


def holding(path: Path) -> tuple[str, str] | None:
    """Which URL's copy holds a path, and its name there; None where it is in no copy that this process opened."""
    whole = path.absolute()
    with suppress(ValueError):
        parts = whole.relative_to(copies().absolute()).parts
        if len(parts) >= 2 and (url := _opened.get(copies().absolute().joinpath(*parts[:2]))) is not None:
            return url, "/".join(parts[2:])
    return None


_opened: dict[Path, str] = {}


def opened(url: str) -> WorkingCopy:
    """The copy of a URL's folder, which this process knows from now on."""
    copy = WorkingCopy(url)
    _opened[copy.folder.absolute()] = url
    return copy
