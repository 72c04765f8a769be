"""The folder that keeps the output of frozen layers: what it holds, and what goes when room is needed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ABANDONED_SECONDS = 3600.0
"""A file that is being written changes all the time; one untouched for so long was left by a process that died."""


@dataclass(frozen=True)
class Entry:
    """One prefix in the cache; what its note does not say is None."""

    file: str
    bytes: int
    last_used: float
    """Seconds since 1970."""
    model: str | None
    """As the study that computed it named it."""
    layer: int | None
    """How many layers the texts went through."""
    texts: int | None
    tokens: int | None
    seconds: float | None
    """What computing it took."""


@dataclass(frozen=True)
class PrefixCache:
    """A folder of prefixes and the bytes that it may hold; without a folder prefixes stay in memory.

    A file that is deleted stays readable for the processes that have it mapped.
    """

    folder: Path | None
    limit_bytes: int = 20_000_000_000

    def fits(self, needed: int) -> bool:
        """Whether so many bytes could be held, were everything else deleted."""
        if self.folder is None:
            return needed <= self.limit_bytes
        held = sum(_size(path) for path in self.folder.glob("*.npy"))
        return needed <= min(self.limit_bytes, shutil.disk_usage(self.folder).free + held)

    def usable(self) -> tuple[PrefixCache, str | None]:
        """The cache itself where files can be written to its folder; else one in memory, and why."""
        if self.folder is None:
            return self, None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.folder) as probe:
                probe.write(b"0")
            shutil.disk_usage(self.folder)
        except OSError as error:
            return PrefixCache(None, _spare_memory()), f"{self.folder} cannot be written to ({error.strerror})"
        return self, None

    def make_room(self, needed: int, keep: Collection[str] = ()) -> bool:
        """Deletes the prefixes that were unused for longest until `needed` bytes fit; False where they never will.

        Files named in `keep` stay.
        """
        if not self.fits(needed):
            return False
        if self.folder is None:
            return True
        self._sweep()
        files = sorted(self.folder.glob("*.npy"), key=_last_used)
        held = sum(_size(path) for path in files)
        for path in files:
            if held + needed <= self.limit_bytes and needed < shutil.disk_usage(self.folder).free:
                break
            if path.name not in keep:
                held -= _size(path)
                _delete(path)
        return True

    def entries(self) -> list[Entry]:
        """What the folder holds, last used first."""
        if self.folder is None or not self.folder.is_dir():
            return []
        found = [_entry(path) for path in self.folder.glob("*.npy")]
        return sorted(found, key=lambda entry: -entry.last_used)

    def summary(self, entries: list[Entry]) -> dict[str, Any]:
        """Some entries with the folder, their bytes and the limit, ready for JSON."""
        now = time.time()
        return {
            "folder": None if self.folder is None else str(self.folder),
            "limit_bytes": self.limit_bytes,
            "total_bytes": sum(entry.bytes for entry in entries),
            "entries": [{**asdict(entry), "age_seconds": max(0.0, now - entry.last_used)} for entry in entries],
        }

    def clear(self) -> list[Entry]:
        """Deletes every prefix and returns what was there; files that a process is writing stay."""
        gone = self.entries()
        if self.folder is not None:
            for entry in gone:
                _delete(self.folder / entry.file)
            self._sweep()
        return gone

    def _sweep(self) -> None:
        """Deletes unfinished files and notes that dead processes left."""
        assert self.folder is not None
        for path in [*self.folder.glob("*.tmp"), *self.folder.glob("*.json")]:
            alone = path.suffix == ".tmp" or not path.with_suffix(".npy").exists()
            if alone and time.time() - _last_used(path) > ABANDONED_SECONDS:
                _delete_file(path)


def _spare_memory() -> int:
    """Half of the memory that is free now, in bytes; 2 GB where the system does not say."""
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return 2_000_000_000


def _entry(path: Path) -> Entry:
    try:
        note: Any = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        note = {}
    known = {key: _known(note, key, kind) for key, kind in _NOTED.items()}
    return Entry(file=path.name, bytes=_size(path), last_used=_last_used(path), **known)


_NOTED: dict[str, type | tuple[type, ...]] = {
    "model": str,
    "layer": int,
    "texts": int,
    "tokens": int,
    "seconds": (int, float),
}


def _known(note: Any, key: str, kind: type | tuple[type, ...]) -> Any:
    value = note.get(key) if isinstance(note, dict) else None
    return value if isinstance(value, kind) and not isinstance(value, bool) else None


def _delete(path: Path) -> None:
    _delete_file(path)
    _delete_file(path.with_suffix(".json"))


def _delete_file(path: Path) -> None:
    """Deletes a file of the cache; one that cannot be deleted stays."""
    with suppress(OSError):
        path.unlink()


def _size(path: Path) -> int:
    """Bytes of a file; 0 where another process has just deleted it."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _last_used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
