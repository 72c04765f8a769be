"""A pass through frozen layers that was broken off: what lies on the disk of it, how far it came, and who works on it.

Beside `KEY.npy`, the finished file, lie `KEY.*.part` until it is there: the output so far, what lies between layers, a
checksum for every chunk of it, the chunk that replaces its own input, and, written last, the state.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from errno import ENOSYS
from pathlib import Path
from typing import Any

import numpy as np

Plan = Sequence[tuple[int | None, int]]
"""The layers of each stage of a pass: the first one (None: the embeddings before it), and the one after the last."""
Read = Callable[[np.ndarray, int], bytes]
"""The bytes of a chunk in one of the pass's arrays."""


@dataclass
class Position:
    """How far a pass came: everything before it is done."""

    stage: int = 0
    chunks: int = 0
    """Of that stage."""
    seconds: float = 0.0
    peak: int = 0


class Partial:
    """The unfinished files of one prefix; whoever uses them holds `alone`."""

    def __init__(self, path: Path, own: str = "") -> None:
        """`path` is the finished file's; `own` tells apart the files of processes that could not lock it."""
        self.path = path
        self.stem = f"{path.stem}{own}"
        self.values, self.between = self._file("values"), self._file("between")
        self._state, self._sums, self._journal = self._file("state"), self._file("sums"), self._file("journal")
        self._plan: Plan = ()
        self._crcs: np.ndarray = np.zeros((2, 0), dtype=np.uint32)

    @property
    def begun(self) -> bool:
        """Whether there is something to go on from."""
        return self._state.exists()

    def _file(self, name: str) -> Path:
        return self.path.with_name(f"{self.stem}.{name}.part")

    def array(self, path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
        """One of the pass's arrays, writable: as it was left where it fits, else new.

        Raises `OSError` where the disk has no room for it.
        """
        with suppress(OSError, ValueError, EOFError):
            found: np.ndarray = np.load(path, mmap_mode="r+", allow_pickle=False)
            if found.dtype == dtype and found.shape == shape:
                return found
        self.forget()
        return mapped_array(path, dtype, shape)

    def position(self, plan: Plan, chunks: int, arrays: tuple[np.ndarray, np.ndarray], read: Read) -> Position:
        """Where a pass of this plan goes on; from the start where nothing sound was left.

        `arrays`: the result, and what lies between stages, which may be the result itself.
        """
        self._plan = plan
        try:
            found = self._found(plan, chunks, arrays, read)
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError, EOFError):
            found = None
        if found is None:
            self.forget()
            found = Position()
            self._crcs = mapped_array(self._sums, np.dtype(np.uint32), (2, chunks))
        return found

    def _found(self, plan: Plan, chunks: int, arrays: tuple[np.ndarray, np.ndarray], read: Read) -> Position | None:
        note = json.loads(self._state.read_text(encoding="utf-8"))
        made: Plan = [tuple(stage) for stage in note["plan"]]
        at = Position(**note["position"])
        self._crcs = np.load(self._sums, mmap_mode="r+", allow_pickle=False)
        if self._crcs.shape != (2, chunks) or not 0 <= at.chunks <= chunks:
            return None
        alone = len(made) == len(plan) == 1 and made[0][1] == plan[0][1]  # from another layer up, the same bits
        if not alone and made[at.stage] not in plan:
            return None
        stage = 0 if alone else list(plan).index(made[at.stage])
        if stage and not at.stage:
            return None  # what it began from is no longer there, and was never in these files
        last = stage == len(plan) - 1
        at = Position(stage, at.chunks, float(at.seconds), int(at.peak))
        target, source = arrays[0 if last else 1], arrays[1]
        if stage and target is source:
            self._replay(plan[stage][1], at, target, arrays)
        sound = all(self._sound(target, n, arrays, read) for n in range(at.chunks))
        if sound and stage:
            sound = all(self._sound(source, n, arrays, read) for n in range(at.chunks, chunks))
        return at if sound else None

    def _sound(self, values: np.ndarray, chunk: int, arrays: tuple[np.ndarray, np.ndarray], read: Read) -> bool:
        return zlib.crc32(read(values, chunk)) == int(self._crcs[_row(values, arrays), chunk])

    def _replay(self, top: int, at: Position, target: np.ndarray, arrays: tuple[np.ndarray, np.ndarray]) -> None:
        """Writes the chunk that was about to replace its input once more."""
        if not self._journal.exists():
            return
        head, _, content = self._journal.read_bytes().partition(b"\n")
        with suppress(ValueError, KeyError, TypeError):
            note = json.loads(head)
            if (note["top"], note["chunk"], note["crc"]) == (top, at.chunks, zlib.crc32(content)):
                rows = np.array(note["rows"], dtype=np.int64)
                _put(target, rows, np.frombuffer(content, dtype=target.dtype).reshape(-1, target.shape[1]))
                self._crcs[_row(target, arrays), at.chunks] = note["crc"]
                at.chunks += 1

    def replace(
        self,
        at: Position,
        target: np.ndarray,
        rows: np.ndarray,
        values: np.ndarray,
        arrays: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Writes a chunk over its own input, so that it is either there whole or can be written again.

        `rows`: (texts, 2), the first row of each and the one after its last; `values` has them one after another.
        """
        content = np.ascontiguousarray(values).tobytes()
        crc = zlib.crc32(content)
        head = {"top": self._plan[at.stage][1], "chunk": at.chunks, "crc": crc, "rows": rows.tolist()}
        with self._journal.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        _put(target, rows, values)
        self._crcs[_row(target, arrays), at.chunks] = crc
        at.chunks += 1
        self._note(at, target)

    def mark(
        self,
        at: Position,
        target: np.ndarray,
        pending: Sequence[int],
        arrays: tuple[np.ndarray, np.ndarray],
        read: Read,
    ) -> None:
        """Notes how far the pass came, when what it wrote is on the disk; `pending` chunks have no checksum yet."""
        for chunk in pending:
            self._crcs[_row(target, arrays), chunk] = zlib.crc32(read(target, chunk))
        self._note(at, target)

    def _note(self, at: Position, target: np.ndarray) -> None:
        for array in (target, self._crcs):
            if isinstance(array, np.memmap):
                array.flush()
        unfinished = self._state.with_suffix(".tmp")
        with unfinished.open("w", encoding="utf-8") as file:
            json.dump({"plan": [list(stage) for stage in self._plan], "position": asdict(at)}, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._state)

    def forget(self) -> None:
        """What was done before counts no longer."""
        for path in (self._state, self._journal):
            path.unlink(missing_ok=True)

    def delete(self) -> None:
        """Deletes every file of the pass that is not finished."""
        for path in (self._state, *(self._file(name) for name in ("journal", "sums", "between", "values"))):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def _row(values: np.ndarray, arrays: tuple[np.ndarray, np.ndarray]) -> int:
    """Which checksums are an array's."""
    return 0 if values is arrays[0] else 1


def _put(target: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    first = 0
    for start, end in rows:
        target[start:end] = values[first : first + end - start]
        first += end - start


@contextmanager
def alone(path: Path) -> Iterator[Partial]:
    """Waits until no other process works on a prefix, and gives its unfinished files.

    Where the file system knows no locks, they are this process's own. Raises `OSError` where nothing can be written.
    """
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file(path))
    try:
        lock.acquire(poll_interval=0.2)
    except OSError as error:
        if error.errno != ENOSYS:
            raise
        yield Partial(path, own=f".{os.getpid()}")
        return
    except NotImplementedError:
        yield Partial(path, own=f".{os.getpid()}")
        return
    try:
        yield Partial(path)
    finally:
        with suppress(OSError):
            lock_file(path).unlink()  # whoever waits for it sees that it is gone, and makes a new one
        lock.release()


def lock_file(path: Path) -> Path:
    """Where it stands that a process works on a prefix."""
    return path.with_suffix(".lock")


def is_held(path: Path) -> bool:
    """Whether a living process works on a prefix."""
    return not _locked(path, lambda: None)


def abandon(path: Path) -> bool:
    """Deletes the unfinished files of a prefix that no living process works on; whether they are gone."""

    def delete() -> None:
        for each in path.parent.glob(f"{path.stem}.*part"):
            with suppress(OSError):
                each.unlink()

    return _locked(path, delete)


def _locked(path: Path, work: Callable[[], None]) -> bool:
    """Whether nobody worked on a prefix, so that something could be done to its files."""
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file(path))
    try:
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):
        return False
    work()
    with suppress(OSError):
        lock_file(path).unlink()
    lock.release()
    return True


def mapped_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new .npy file as a writable array; raises `OSError` where the disk has no room for all of it.

    Its room is taken at once: a write to a mapped file that finds the disk full ends the process (SIGBUS).
    """
    made = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate"):
        handle = os.open(path, os.O_RDWR)
        try:
            os.posix_fallocate(handle, 0, max(1, os.fstat(handle).st_size))
        finally:
            os.close(handle)
    return made
