"""Tables that come part by part: in memory while they are small, in a mapped file when they are large."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thriftune.data.large import arrays
from thriftune.data.large.arrays import no_room
from thriftune.errors import InputError
from thriftune.folders import cache_folder

if TYPE_CHECKING:
    import polars as pl

ABANDONED_SECONDS = 86400.0
"""A file that is being written changes all the time."""
ROWS = 50_000
"""Of a part, where a table is read part by part."""
_KEPT = "\x00kept"


class Parts:
    """The parts of one table, in their order; all have the columns of the first one."""

    def __init__(self) -> None:
        self._held: list[pl.DataFrame] = []
        self._names: list[str] = []
        self._bytes = 0
        self._path: Path | None = None
        self._writer: Any = None
        self._sink: Any = None

    def add(self, part: pl.DataFrame) -> None:
        """Adds rows at the end; raises `InputError` where the disk is full."""
        self._held.append(part)
        self._bytes += int(part.estimated_size())
        if self._bytes > arrays.LARGE_BYTES:
            self._write()

    def finished(self) -> pl.DataFrame | None:
        """The table; None where no part came. Texts of a large one are read from its file when they are looked at."""
        import polars as pl

        if self._path is None:
            return pl.concat(self._held, rechunk=False) if self._held else None
        import pyarrow as pa

        self._write()
        self._close()
        try:
            with pa.memory_map(str(self._path)) as file:
                made = pl.from_arrow(pa.ipc.open_file(file).read_all(), rechunk=False)
        finally:
            self.drop()
        assert isinstance(made, pl.DataFrame)
        made.columns = self._names
        return made

    def drop(self) -> None:
        """Deletes the file's name; what is mapped stays readable."""
        self._close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None

    def _close(self) -> None:
        for each in (self._writer, self._sink):
            if each is not None:
                each.close()
        self._writer = self._sink = None

    def _write(self) -> None:
        try:
            self._write_held()
        except OSError as error:
            raise no_room(error) from error

    def _write_held(self) -> None:
        import polars as pl
        import pyarrow as pa

        for part in self._held:
            self._names = part.columns  # the file has numbers: in a name of its own no character may be null
            numbered = part.rename({name: str(place) for place, name in enumerate(part.columns)})
            table = numbered.to_arrow(compat_level=pl.CompatLevel.newest())
            if self._writer is None:
                self._path = _new_file()
                self._sink = pa.OSFile(str(self._path), "wb")
                self._writer = pa.ipc.new_file(self._sink, table.schema)
            self._writer.write_table(table, max_chunksize=ROWS)
        self._held, self._bytes = [], 0


def _new_file() -> Path:
    folder = cache_folder() / "large"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        handle, name = tempfile.mkstemp(dir=folder, suffix=".arrow")
    except OSError:
        handle, name = tempfile.mkstemp(suffix=".arrow")
    os.close(handle)
    return Path(name)


def _sweep(folder: Path) -> None:
    """Deletes what processes left that died while they wrote; the others' files have no name any more."""
    for path in folder.glob("*.arrow"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                path.unlink()


def slices(rows: int) -> Iterator[slice]:
    """Row numbers of a table, as many at a time as are worked on at once."""
    for start in range(0, rows, ROWS):
        yield slice(start, min(rows, start + ROWS))


def by_parts(frame: pl.DataFrame, work: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """What `work` makes of a table, row by row or leaving out rows; of a large one part by part, in a mapped file.

    Where the disk has no room for it, of the whole table in memory.
    """
    return work(frame) if frame.estimated_size() <= arrays.LARGE_BYTES else _parted(frame, work)


def column_by_parts(column: pl.Series, work: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The same of one column: of any with many rows, since it often becomes much smaller."""
    if len(column) <= ROWS:
        return work(column)
    return _parted(column.to_frame(), lambda part: work(part.to_series()).to_frame()).to_series()


def _parted(frame: pl.DataFrame, work: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    parts = Parts()
    try:
        for rows in slices(frame.height):
            part = work(frame[rows])
            try:
                parts.add(part)
            except InputError:
                return work(frame)
        try:
            made = parts.finished()
        except InputError:
            made = None
    finally:
        parts.drop()
    return work(frame) if made is None else made


def numbered(rows: int) -> pl.Series:
    """Row numbers from 0, (rows,) Int64."""
    import polars as pl

    if rows <= ROWS:
        return pl.int_range(rows, eager=True)
    parts = Parts()
    try:
        for some in slices(rows):
            parts.add(pl.DataFrame([pl.int_range(some.start, some.stop, eager=True).alias("row")]))
        made = parts.finished()
    finally:
        parts.drop()
    assert made is not None
    return made.to_series()


def filtered(frame: pl.DataFrame, kept: pl.Series) -> pl.DataFrame:
    """The rows whose place in `kept` (rows,) is true."""
    return by_parts(frame.hstack([kept.alias(_KEPT)]), lambda part: part.filter(part[_KEPT]).drop(_KEPT))


def taken(frame: pl.DataFrame, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
    """The rows of ascending numbers, each once."""
    import polars as pl

    kept = np.zeros(frame.height, dtype=bool)
    kept[rows] = True
    return filtered(frame, pl.Series(kept))


def on_disk(frame: pl.DataFrame) -> pl.DataFrame:
    """The same table, in a mapped file where it is large and the disk has room for it."""
    parted = {tuple(len(chunk) for chunk in column.get_chunks()) for column in frame}
    if len(parted) == 1 and len(next(iter(parted))) > 1:
        return frame  # it was made part by part
    return by_parts(frame, lambda part: part)
