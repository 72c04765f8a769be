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

from thriftune.amounts import parse_bytes
from thriftune.engine.frozen.partial import abandon, is_held
from thriftune.errors import InputError
from thriftune.folders import cache_folder

ABANDONED_SECONDS = 3600.0
"""A file that is being written changes all the time; one untouched for so long was left by a process that died."""
CACHE_LIMIT = 20_000_000_000
"""Bytes that are kept unless the user says otherwise."""
KEPT_SECONDS = 7 * 86400.0
"""So long a pass that was broken off can be gone on with."""


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
    limit_bytes: int = CACHE_LIMIT

    @classmethod
    def of_user(cls) -> PrefixCache:
        """The one of this user, as large as the user allows; raises `InputError` where that is no amount."""
        return cls(cache_folder() / "prefixes", cache_limit())

    def room(self) -> int:
        """Bytes that could be held, were everything else deleted that no process is writing."""
        if self.folder is None:
            return self.limit_bytes
        held = sum(_size(path) for path in self.folder.glob("*.npy"))
        held += sum(_size(part) for key, parts in self._parts().items() if not is_held(key) for part in parts)
        return min(self.limit_bytes, shutil.disk_usage(existing(self.folder)).free + held)

    def fits(self, needed: int) -> bool:
        """Whether so many bytes could be held, were everything else deleted."""
        return needed <= self.room()

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
        parts = self._parts()
        files = sorted([*self.folder.glob("*.npy"), *parts], key=_last_used)
        held = sum(map(_size, files)) + sum(_size(part) for each in parts.values() for part in each)
        for path in files:
            if held + needed <= self.limit_bytes and needed < shutil.disk_usage(self.folder).free:
                break
            if path.name in keep:
                continue
            size = _size(path)
            if path not in parts:
                _delete(path)
            elif sum(map(_size, parts[path])) and abandon(path):
                size += sum(map(_size, parts[path]))
            held -= size
        return True

    def begun(self, file: str) -> int:
        """Bytes that a pass which was broken off takes already for a file that is not there yet."""
        if self.folder is None:
            return 0
        return sum(map(_size, self.folder.glob(f"{Path(file).stem}.values.part")))

    def unfinished(self) -> int:
        """Bytes of passes that are under way, or were broken off and can be gone on with."""
        if self.folder is None or not self.folder.is_dir():
            return 0
        return sum(_size(part) for parts in self._parts().values() for part in parts)

    def _parts(self) -> dict[Path, list[Path]]:
        """The unfinished files by the path that the finished one will have."""
        assert self.folder is not None
        found: dict[Path, list[Path]] = {}
        for path in sorted(self.folder.glob("*.part")):
            found.setdefault(path.with_name(f"{path.name.split('.')[0]}.npy"), []).append(path)
        return found

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
            "unfinished_bytes": self.unfinished(),
            "entries": [{**asdict(entry), "age_seconds": max(0.0, now - entry.last_used)} for entry in entries],
        }

    def clear(self) -> list[Entry]:
        """Deletes every prefix and returns what was there; files that a process is writing stay."""
        gone = self.entries()
        if self.folder is not None:
            for entry in gone:
                _delete(self.folder / entry.file)
            for path in self._parts():
                abandon(path)
            self._sweep()
        return gone

    def _sweep(self) -> None:
        """Deletes unfinished files and notes that dead processes left."""
        assert self.folder is not None
        for path in [*self.folder.glob("*.tmp"), *self.folder.glob("*.json")]:
            alone = path.suffix == ".tmp" or not path.with_suffix(".npy").exists()
            if alone and time.time() - _last_used(path) > ABANDONED_SECONDS:
                _delete_file(path)
        now = time.time()
        for key, parts in self._parts().items():
            if now - max(map(_last_used, parts)) > KEPT_SECONDS:
                abandon(key)
        for path in self.folder.glob("*.lock"):
            if now - _last_used(path) > ABANDONED_SECONDS and not list(self.folder.glob(f"{path.stem}.*part")):
                abandon(path.with_suffix(".npy"))


def cache_limit() -> int:
    """Bytes that the outputs of frozen layers may take: 20 GB, or what THRIFTUNE_CACHE_LIMIT says ("200GB").

    Raises `InputError` where that is no amount.
    """
    named = os.environ.get("THRIFTUNE_CACHE_LIMIT")
    try:
        return parse_bytes(named) if named else CACHE_LIMIT
    except InputError as error:
        raise InputError(f"THRIFTUNE_CACHE_LIMIT: {error}") from error


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next((each for each in (folder, *folder.parents) if each.is_dir()), folder)


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
