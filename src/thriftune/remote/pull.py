"""Fills the local copy from the folder elsewhere: what differs; of what changed on both sides, one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from thriftune.errors import InputError
from thriftune.remote.copy import WorkingCopy
from thriftune.remote.manifest import NAME as MANIFEST
from thriftune.remote.manifest import Entries, Entry, entry_of, marker_of, read_entries, scan, unit_of
from thriftune.remote.objects import Objects
from thriftune.results.files import delete

AT_ONCE = 8
"""Files that are transferred at the same time."""
Wanted = Callable[[str, int], bool]
"""Whether a file is wanted, by name and bytes."""


@dataclass(frozen=True)
class There:
    """What lies elsewhere."""

    sizes: dict[str, int]
    known: Entries
    """Hashes, where the last writer finished and the sizes are still those."""

    @property
    def snapshot(self) -> dict[str, str]:
        """Hash, or size where no hash is known, by name."""
        return {name: known.sha256 if (known := self.known.get(name)) else str(size) for name, size in _sorted(self)}


def _sorted(there: There) -> Iterable[tuple[str, int]]:
    return sorted(there.sizes.items())


def look(objects: Objects) -> There:
    """Lists the folder."""
    sizes = {name: size for name, size in objects.sizes().items() if name.partition("/")[0][:1] != "."}
    known = {n: e for n, e in read_entries(objects.read(MANIFEST)).items() if sizes.get(n) == e.bytes}
    return There(sizes, known)


def pull(copy: WorkingCopy, objects: Objects, there: There, wanted: Wanted = lambda name, size: True) -> list[str]:
    """Makes what is wanted here what it is there; returns the names of files that are not what was pushed.

    Those are not here then. What was changed here and never pushed stays, unless it was changed there too: then
    the side wins whose folder is whole, and of two such the other one.
    """
    here = scan(copy.folder, copy.synced)
    snapshot = there.snapshot
    ours = {unit for unit in {unit_of(name) for name in here} if _keeps(unit, here, copy, snapshot)}
    for name in here:
        if unit_of(name) in ours or name in there.sizes:
            continue
        if name in copy.synced or _marked(unit_of(name), snapshot):
            _remove(copy, name)  # it was deleted there, or another make of the run lies there
    differ = [
        name for name in there.sizes if unit_of(name) not in ours and not _same(name, here, copy, there, snapshot)
    ]
    todo = [name for name in differ if wanted(name, there.sizes[name])]
    for name in set(differ) & here.keys() - set(todo):
        _remove(copy, name)  # what is not wanted is not kept as it was before
    with ThreadPoolExecutor(AT_ONCE) as pool:
        fetched = pool.map(lambda name: _fetched(copy, objects, name, there.known.get(name)), todo)
        got = dict(zip(todo, fetched, strict=True))
    damaged = sorted(name for name, entry in got.items() if entry is None)
    same = there.sizes.keys() & here.keys() - set(differ)
    kept = {name: here[name] for name in same if unit_of(name) not in ours}
    before = {name: entry for name, entry in copy.synced.items() if unit_of(name) in ours}
    lost = {name: Entry(size, "") for name, size in there.sizes.items() if _marked_unit(name) in ours - {None}}
    copy.synced = lost | before | kept | {name: entry for name, entry in got.items() if entry is not None}
    copy.remote = snapshot
    copy.save()
    return damaged


def check_whole(objects: Objects, damaged: list[str]) -> None:
    """Raises `InputError` where files are not what was pushed."""
    if damaged:
        raise InputError(
            f"{objects.name}/{damaged[0]} is damaged: it is not what was pushed there. Run the study again with "
            f"`thriftune compare --out {objects.name}`: what is sound is kept, the rest is made again."
        )


def _keeps(unit: str, here: Entries, copy: WorkingCopy, there: dict[str, str]) -> bool:
    """Whether a unit stays as it is here."""
    own = {name: entry for name, entry in here.items() if unit_of(name) == unit}
    if not any(_changed(copy.synced.get(name), entry) for name, entry in own.items()):
        return False
    now = {name: about for name, about in there.items() if unit_of(name) == unit}
    if now == {name: about for name, about in copy.remote.items() if unit_of(name) == unit}:
        return True
    marker = marker_of(unit)
    return not now or (marker is not None and marker in own and marker not in now)


def _changed(before: Entry | None, now: Entry) -> bool:
    return before is None or before.sha256 != now.sha256


def _remove(copy: WorkingCopy, name: str) -> None:
    """Deletes a file here, and the folders around it that are empty then."""
    path = copy.folder / name
    delete(path)
    for above in path.parents:
        if above == copy.folder or any(above.iterdir()):
            return
        above.rmdir()


def _marked(unit: str, names: dict[str, str]) -> bool:
    marker = marker_of(unit)
    return marker is not None and marker in names


def _marked_unit(name: str) -> str | None:
    unit = unit_of(name)
    return unit if marker_of(unit) is not None else None


def _same(name: str, here: Entries, copy: WorkingCopy, there: There, snapshot: dict[str, str]) -> bool:
    """Whether a file here is what lies there, by its hash, or because neither side has changed since they met."""
    own, known, before = here.get(name), there.known.get(name), copy.synced.get(name)
    if own is None:
        return False
    if known is not None and known.sha256 == own.sha256:
        return True
    return before is not None and before.sha256 == own.sha256 and copy.remote.get(name) == snapshot[name]


def _fetched(copy: WorkingCopy, objects: Objects, name: str, known: Entry | None) -> Entry | None:
    """Fetches a file; None where it is twice not what was pushed."""
    path = copy.folder / name
    for _ in range(2):
        objects.get(name, path)
        found = entry_of(path, None)
        if known is None or (found is not None and found.sha256 == known.sha256):
            return found
    _remove(copy, name)
    return None
