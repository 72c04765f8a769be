"""Rows of fields become a table: the header, what it leaves unnamed, and rows that do not fit it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from thriftune.data.large.tables import ROWS, Parts
from thriftune.data.readers.header import found_names, names_columns
from thriftune.data.table import ReadOptions, SourceTable, Wanted, text_table
from thriftune.errors import InputError

Fields = Sequence[str | None]
NumberedRows = Generator[tuple[int, int, Fields], None, None]
"""Each row's first and last line, and its fields."""

_LOOKED_AT = 2000
_PANDAS_INDEX = re.compile(r"Unnamed: \d+")


@dataclass(frozen=True)
class Grid:
    """Rows as a file has them, the header among them."""

    where: str
    """The path, for messages."""
    name: str
    """The file's name, for notes."""
    rows: Callable[[], NumberedRows]
    """Starts from the first row each time; blank lines are left out."""
    line: str = "line"
    """What a row's place is called: line, or row in a spreadsheet."""
    remedy: str = ""
    """What to do about a row with another number of fields, with a blank before it."""
    delimiter: str = ""
    """The delimiter in words, for messages; empty where there is none."""
    notes: tuple[str, ...] = ()


def grid_table(grid: Grid, reading: ReadOptions) -> SourceTable:
    """The wanted columns as strings.

    Columns without a name are left out, and those that pandas writes for its index unless they are wanted. Raises
    `InputError` for a blank first row, a name that occurs twice, and rows with more or fewer fields than the header.
    """
    with closing(grid.rows()) as rows:
        sample = [row[2] for row in islice(rows, _LOOKED_AT + 1)]
    first = [_plain(value) for value in sample[0]] if sample else []
    if not any(first):
        raise InputError(f"{grid.where} starts with a blank line. Its first line must name the columns.")
    named = reading.header == "yes"
    if reading.header == "auto":
        named = names_columns(first, [[value or "" for value in row] for row in sample[1:]])
    return _named(grid, reading, first) if named else _unnamed(grid, reading, first)


def _named(grid: Grid, reading: ReadOptions, header: list[str]) -> SourceTable:
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None and reading.wanted is None:
        times = "twice" if (count := header.count(twice)) == 2 else f"{count} times"
        raise InputError(
            f'{grid.where}: the column "{twice}" occurs {times} in the header '
            f"({', '.join(name for name in header if name)}). Rename one."
        )
    kept = [i for i, name in enumerate(header) if _is_wanted(name, header, reading.wanted)]
    wanted = [header[i] for i in kept]
    names = tuple(name for name in header if name and (name in wanted or not _PANDAS_INDEX.fullmatch(name)))
    parts = Parts()
    try:
        for rows in _parts(grid, header, kept, skip=1):
            parts.add(text_table(dict(zip(wanted, rows, strict=True)), reading, grid.where).frame)
        frame = parts.finished()
    finally:
        parts.drop()
    if frame is None:
        frame = text_table(dict.fromkeys(wanted, ()), reading, grid.where).frame
    return SourceTable(frame=frame, columns=names, where=grid.where, notes=grid.notes)


def _unnamed(grid: Grid, reading: ReadOptions, first: list[str]) -> SourceTable:
    columns: list[list[str | None]] = [[] for _ in first]  # what their names are is found from all of them
    for rows in _parts(grid, first, range(len(first)), skip=0):
        for column, values in zip(columns, rows, strict=True):
            column.extend(values)
    names = found_names([[value or "" for value in column] for column in columns])
    why = "as data.header says" if reading.header == "no" else "its first row looks like data; data.header overrules"
    note = f"{grid.name} has no header ({why}): its columns are called {', '.join(names)}, in their order."
    return text_table(dict(zip(names, columns, strict=True)), reading, grid.where, (*grid.notes, note))


def _parts(grid: Grid, header: list[str], kept: Sequence[int], *, skip: int) -> Iterator[list[list[str | None]]]:
    """The kept columns of some rows after some others."""
    columns: list[list[str | None]] = [[] for _ in kept]
    width, held = len(header), 0
    with closing(grid.rows()) as rows:
        for start, end, row in islice(rows, skip, None):
            fields = row if len(row) == width else _fitted(grid, start, end, row, header, bool(skip))
            for column, i in zip(columns, kept, strict=True):
                column.append(fields[i])
            held += 1
            if held == ROWS:
                yield columns
                columns, held = [[] for _ in kept], 0
    if held:
        yield columns


def _fitted(grid: Grid, start: int, end: int, row: Fields, header: list[str], named: bool) -> Fields:
    """The row at the header's length, where only blanks or unnamed columns make the difference."""
    width = len(header)
    if len(row) > width and not any(row[width:]):
        return row[:width]
    if len(row) < width and named and not any(header[len(row) :]):
        return [*row, *([""] * (width - len(row)))]
    raise InputError(_ragged(grid, start, end, row, header, named))


def _ragged(grid: Grid, start: int, end: int, row: Fields, header: list[str], named: bool) -> str:
    place = f"{grid.line} {start}" if start == end else f"{grid.line}s {start} to {end} (one row in quotes)"
    verb = "has" if start == end else "have"
    against = "the header" if named else "the first row"
    shown = f"{', '.join(header)}; " if named else ""
    delimiter = f"delimiter: {grid.delimiter}" if grid.delimiter else ""
    inside = f" ({shown}{delimiter})" if shown or delimiter else ""
    return f"{grid.where}, {place} {verb} {len(row)} fields, {against} has {len(header)}{inside}.{grid.remedy}"


def _is_wanted(name: str, header: list[str], wanted: Wanted) -> bool:
    """Whether to read a column: named, wanted and unambiguous (`columns` tells the caller the rest)."""
    if not name or header.count(name) > 1:
        return False
    return name in wanted if wanted is not None else not _PANDAS_INDEX.fullmatch(name)


def _plain(name: str | None) -> str:
    return (name or "").strip().removeprefix("\ufeff").strip()
