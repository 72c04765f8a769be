"""Arrays that lie in memory while they are small, and in a file without a name when they are large.

Such a file is deleted as soon as it is made and lives as long as its array does, so nothing is left of it however the
process ends. Its pages are the system's to take away and read back: they crowd out nothing.
"""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from thriftune.errors import InputError
from thriftune.folders import cache_folder

LARGE_BYTES = 64_000_000
"""What is larger lies in a file."""
BLOCK = 1 << 22
"""Numbers that are worked on at once where an array may be a file."""


def nameless_file() -> IO[bytes]:
    """A new file below the cache folder, else in the system's folder for such; it goes when it is closed."""
    folder = cache_folder() / "large"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=folder)
    except OSError:
        return tempfile.TemporaryFile()


def room_for(shape: tuple[int, ...], dtype: npt.DTypeLike) -> np.ndarray:
    """An array to be filled; in a file where it is large and the disk has room for it, else in memory."""
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    if size <= LARGE_BYTES:
        return np.empty(shape, dtype=kind)
    try:
        with nameless_file() as file:
            if hasattr(os, "posix_fallocate"):
                # A write to a mapped file that finds the disk full ends the process (SIGBUS).
                os.posix_fallocate(file.fileno(), 0, size)
            return np.memmap(file, dtype=kind, mode="r+", shape=shape)
    except OSError:
        return np.empty(shape, dtype=kind)


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that cover so many numbers."""
    for start in range(0, count, size):
        yield slice(start, min(count, start + size))


class Growing:
    """Numbers of one type that come one after another; memory holds the last ones alone where they are many."""

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._tail = array(_CODES[self._dtype])
        self._file: IO[bytes] | None = None
        self._written = 0

    def __len__(self) -> int:
        return self._written + len(self._tail)

    def extend(self, numbers: Iterable[int]) -> None:
        """Adds numbers at the end; raises `InputError` where the disk is full."""
        self._tail.extend(numbers)
        if len(self._tail) * self._dtype.itemsize > LARGE_BYTES:
            self._write()

    def finished(self) -> np.ndarray:
        """All of them, (numbers,), read-only where they are a file; raises `InputError` where the disk is full."""
        if self._file is None:
            return np.array(self._tail, dtype=self._dtype)
        self._write()
        with self._file as file:
            return np.memmap(file, dtype=self._dtype, mode="r", shape=(self._written,))

    def _write(self) -> None:
        self._file = self._file or nameless_file()
        try:
            self._tail.tofile(self._file)
            self._file.flush()
        except OSError as error:
            raise no_room(error) from error
        self._written += len(self._tail)
        del self._tail[:]


def no_room(error: OSError) -> InputError:
    """That the disk does not hold what is larger than memory should."""
    return InputError(
        f"Large data is kept in files below {cache_folder()}, which cannot be written to ({error.strerror or error}). "
        "Make room there, or set THRIFTUNE_CACHE to a folder on a larger disk."
    )


_CODES: dict[np.dtype[Any], str] = {np.dtype(np.int32): "i", np.dtype(np.uint8): "B", np.dtype(np.int64): "q"}


def distinct(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """The different numbers of arrays of whole numbers from 0, ascending, of their type; block by block."""
    kind: np.dtype[Any] = np.dtype(np.int64)
    seen = np.zeros(0, dtype=bool)
    for values in arrays:
        kind = values.dtype
        for part in blocks(len(values)):
            block = np.asarray(values[part])
            most = int(block.max()) + 1
            if most > len(seen):
                seen = np.append(seen, np.zeros(most - len(seen), dtype=bool))
            seen[block] = True
    return np.flatnonzero(seen).astype(kind)
