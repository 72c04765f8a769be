"""Brings to the folder elsewhere what differs here, so that nothing there passes for whole before it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from thriftune.remote.copy import WorkingCopy
from thriftune.remote.manifest import NAME as MANIFEST
from thriftune.remote.manifest import Entries, Entry, entries_text, entry_of, marker_of, scan, unit_of
from thriftune.remote.objects import Objects, UnreachableError
from thriftune.remote.pull import AT_ONCE

LAST = ("results.json", "report.html")


@dataclass(frozen=True)
class Pushed:
    """What a push transferred."""

    files: int = 0
    bytes: int = 0
    deleted: int = 0

    def __add__(self, other: Pushed) -> Pushed:
        return Pushed(self.files + other.files, self.bytes + other.bytes, self.deleted + other.deleted)


def push(
    copy: WorkingCopy, objects: Objects, known: Entries, wanted: Callable[[str], bool] = lambda name: True
) -> Pushed:
    """Transfers the wanted files that changed here, deletes those that went; `known` is what lies there, kept up.

    A folder's marker (`run.json`) goes first there and comes last; results.json after all runs. The manifest leaves out
    what is under way, so that a push that is cut short leaves no wrong hash. Raises `UnreachableError`; what was
    transferred until then is remembered.
    """
    here = scan(copy.folder, copy.synced, wanted)
    changed = {name for name, entry in here.items() if _differs(copy.synced.get(name), entry)}
    gone = {name for name in copy.synced if name not in here and wanted(name)}
    if not changed | gone:
        copy.synced |= here  # times alone may differ
        return Pushed()
    markers = {m for name in changed | gone if (m := marker_of(unit_of(name))) is not None and m != name}
    first = [name for name in sorted(markers) if name in copy.remote]
    changed |= {name for name in first if name in here}
    sent = Pushed(deleted=len(gone))
    try:
        for name in changed | gone:
            known.pop(name, None)
        objects.write(MANIFEST, entries_text(known))
        for name in first:
            _forget(copy, objects, name)
        for group in _groups(changed):
            with ThreadPoolExecutor(AT_ONCE) as pool:
                for name, entry in zip(group, pool.map(lambda n: _put(copy, objects, n), group), strict=True):
                    if entry is not None:
                        known[name] = replace(entry, modified=0)
                        copy.remote[name] = entry.sha256
                        copy.synced[name] = here[name]
                        sent += Pushed(1, entry.bytes)
        for name in sorted(gone):
            _forget(copy, objects, name)
        objects.write(MANIFEST, entries_text(known))
    finally:
        copy.save()
    return sent


def _differs(before: Entry | None, now: Entry) -> bool:
    return before is None or before.sha256 != now.sha256


def _groups(names: set[str]) -> list[list[str]]:
    """The names in the order in which they are transferred: what marks something as whole after all of it."""
    groups: list[list[str]] = [[], [], []]
    for name in sorted(names):
        marks = name == marker_of(unit_of(name)) or (name.startswith("evaluations/") and name.endswith(".json"))
        groups[2 if name in LAST else 1 if marks else 0].append(name)
    return groups


def _forget(copy: WorkingCopy, objects: Objects, name: str) -> None:
    objects.delete(name)
    copy.remote.pop(name, None)
    copy.synced.pop(name, None)


def _put(copy: WorkingCopy, objects: Objects, name: str) -> Entry | None:
    """Transfers one file, of a database a consistent state; returns what was transferred, None where it went away."""
    path = copy.folder / name
    with TemporaryDirectory(prefix="push-", dir=copy.base) as folder:
        source = path
        if PurePosixPath(name).suffix == ".db":
            source = Path(folder) / "database"
            if not path.exists():
                return None
            with closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(source)) as new:
                old.backup(new)
        found = entry_of(source, None)
        if found is None:
            return None
        try:
            objects.put(source, name)
        except UnreachableError:
            if source.exists():
                raise
            return None
        return found
