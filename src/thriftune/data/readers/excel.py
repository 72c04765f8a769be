"""Reads Excel workbooks; every column is text, numbers as a spreadsheet shows them and dates in ISO form."""

from __future__ import annotations

import datetime
import re
import zipfile
from pathlib import Path
from typing import Any

from thriftune.data.labels import plain_name
from thriftune.data.readers.compressed import BROKEN, check_zip_size, damaged
from thriftune.data.readers.grid import Fields, Grid, NumberedRows, grid_table
from thriftune.data.table import ReadOptions, SourceTable
from thriftune.errors import InputError

_REFERENCE = re.compile(rb"""\sr\s*=\s*["']\s*([A-Za-z]*)(\d+)""")
_ROWS, _COLUMNS, _CELLS = 1_048_576, 16_384, 50_000_000


def read_excel(path: Path, reading: ReadOptions) -> SourceTable:
    """Reads the first sheet that has data, visible ones first.

    Raises `InputError` for a damaged or protected workbook, and for one without data.
    """
    check_zip_size(path)
    _check_extent(path)
    sheets = _sheets(path)
    filled = [name for name, rows in sheets.items() if rows]
    if not filled:
        raise InputError(f"{path} has no data: its sheets ({', '.join(sheets) or 'none'}) are empty.")
    used, *others = filled
    rest = ", ".join(f'"{name}"' for name in others)
    notes = (f'{path.name}: the sheet "{used}" is read, not {rest}.',) if others else ()

    def rows() -> NumberedRows:
        for number, row in sheets[used]:
            yield number, number, row

    grid = Grid(where=str(path), name=path.name, rows=rows, line="row", notes=notes)
    return grid_table(grid, reading)


def _check_extent(path: Path) -> None:
    """Raises where cells lie so far apart that the sheet between them would not fit into memory."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.lower().endswith(".xml") or "sheet" not in name.lower():
                continue
            try:
                text = archive.read(name)
            except BROKEN as error:
                raise damaged(path, error) from error
            row, column = 0, 0
            for letters, number in _REFERENCE.findall(text):
                row, column = max(row, int(number[:12])), max(column, _column(letters))
            if row > _ROWS or column > _COLUMNS or row * column > _CELLS:
                raise InputError(
                    f"{path}: {name} has cells up to row {row:,} and column {column:,}, more than is read. Delete the "
                    "cells beyond the data, or save the sheet as CSV UTF-8."
                )


def _column(letters: bytes) -> int:
    number = 0
    for letter in letters.upper()[:8]:
        number = 26 * number + letter - 64
    return number


def _sheets(path: Path) -> dict[str, list[tuple[int, Fields]]]:
    """The rows that are not blank of each sheet with their numbers, visible sheets first."""
    import python_calamine as calamine

    try:
        with calamine.load_workbook(str(path)) as book:
            meta = [sheet for sheet in book.sheets_metadata if sheet.typ == calamine.SheetTypeEnum.WorkSheet]
            meta.sort(key=lambda sheet: sheet.visible != calamine.SheetVisibleEnum.Visible)
            return {sheet.name: _rows(book.get_sheet_by_name(sheet.name)) for sheet in meta}
    except (calamine.CalamineError, OSError, ValueError) as error:
        raise InputError(
            f"{path} is not a readable Excel workbook: {error}. If it has a password, save it without; else save it "
            "again as .xlsx or .csv."
        ) from error


def _rows(sheet: Any) -> list[tuple[int, Fields]]:
    first = sheet.start[0] + 1 if sheet.start else 1
    rows = ((number, [_text(value) for value in row]) for number, row in enumerate(sheet.to_python(), start=first))
    return [(number, row) for number, row in rows if any(value is not None for value in row)]


def _text(value: Any) -> str | None:
    """A cell's text; None for an empty one."""
    if isinstance(value, bool | float):
        return plain_name(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return str(value)
    return str(value) if value != "" else None
