"""What is known of the files on both sides: bytes and hashes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from thriftune.results.files import sha256
from thriftune.results.json_text import json_text

NAME = ".thriftune/manifest.json"
_UNSETTLED = ("-journal", "-wal", "-shm")
"""Endings of what SQLite keeps beside a database."""


@dataclass(frozen=True)
class Entry:
    """One file's content."""

    bytes: int
    sha256: str
    modified: int = 0
    """Nanoseconds, of the local file when its hash was computed; 0 elsewhere."""


Entries = dict[str, Entry]


def read_entries(data: bytes | None) -> Entries:
    """What `entries_text` wrote; nothing where it is anything else."""
    try:
        return entries_of(json.loads(data or b"{}"))
    except ValueError:
        return {}


def entries_of(found: Any) -> Entries:
    """The entries in a JSON object; nothing where it holds anything else."""
    try:
        return {str(name): Entry(**about) for name, about in found.items()}
    except (TypeError, AttributeError):
        return {}


def entries_text(entries: Entries) -> bytes:
    """A manifest as JSON."""
    return json_text({name: asdict(about) for name, about in sorted(entries.items())}).encode()


def local_files(folder: Path) -> Iterator[str]:
    """The files of a study's folder that belong to its results, by relative name.

    Not those whose name, or a folder's around them, begins with a dot (work, locks, what is half written), links, and
    what SQLite keeps beside a database.
    """
    for root, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name[0] != "." and not (Path(root) / name).is_symlink()]
        for name in files:
            path = Path(root) / name
            if name[0] != "." and not name.endswith(_UNSETTLED) and not path.is_symlink():
                yield path.relative_to(folder).as_posix()


def entry_of(path: Path, before: Entry | None) -> Entry | None:
    """A local file's; its hash is computed where size or time differ from those before. None where it is not there."""
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return None
        if before is not None and (before.bytes, before.modified) == (found.st_size, found.st_mtime_ns):
            return before
        return Entry(found.st_size, sha256(path), found.st_mtime_ns)
    except FileNotFoundError:
        return None


def scan(folder: Path, before: Entries, wanted: Callable[[str], bool] = lambda name: True) -> Entries:
    """The files of a folder that are wanted, by name."""
    found = {name: entry_of(folder / name, before.get(name)) for name in local_files(folder) if wanted(name)}
    return {name: entry for name, entry in found.items() if entry is not None}


def unit_of(name: str) -> str:
    """The folder whose files stand and fall together: one run's, a refit's, `best`; else the file itself."""
    parts = PurePosixPath(name).parts
    if len(parts) > 2 and parts[0] in ("runs", "refit"):
        return "/".join(parts[:2])
    return parts[0] if len(parts) > 1 and parts[0] == "best" else name


def marker_of(unit: str) -> str | None:
    """The file of a unit that says that it is whole, and is written last; None of a file alone."""
    first, _, rest = unit.partition("/")
    return {"runs": f"{unit}/run.json", "refit": f"{unit}/refit.json"}.get(first) if rest else _best(unit)


def _best(unit: str) -> str | None:
    return "best/best.json" if unit == "best" else None


def is_weight(name: str, size: int) -> bool:
    """Whether a file is one that only the use of its model needs: large, in a model's folder, or a checkpoint's."""
    parts = PurePosixPath(name).parts[:-1]
    return "checkpoint" in parts or (("model" in parts or parts[:1] == ("best",)) and size > LARGE)


LARGE = 100_000
"""Bytes of a model's file that is left where it is until the model is used."""
