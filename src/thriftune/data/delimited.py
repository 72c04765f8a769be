"""Reads csv, tsv and txt files; every column is a string, as written."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from thriftune.data.encoding import opened
from thriftune.data.table import Table, Wanted
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl

_Numbered = Iterator[tuple[int, list[str]]]
"""Rows with the line on which each ends, the header first."""

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_QUOTED = re.compile(r'"(?:[^"]|"")*"')


def read_csv(path: Path, wanted: Wanted, limit: int | None) -> Table:
    """Reads delimited rows with quotes; the delimiter is found from the header."""
    with opened(path, "") as file:
        delimiter = _sniff(file.readline())
    notes: tuple[str, ...] = ()
    if delimiter != ",":
        notes = (f"{path.name} is read with {_DELIMITERS[delimiter]} as delimiter, as its header suggests.",)
    return _delimited(path, wanted, limit, delimiter, quoted=True, notes=notes)


def read_tsv(path: Path, wanted: Wanted, limit: int | None) -> Table:
    """Tab-separated text; quotes are text, unless every quoted field is a well-formed one."""
    if path.suffix.lower() != ".txt" and _is_quoted_tsv(path):
        note = f"{path.name} has quoted fields; the quotes are not part of the text."
        return _delimited(path, wanted, limit, "\t", quoted=True, notes=(note,))
    return _delimited(path, wanted, limit, "\t", quoted=False)


def _sniff(header: str) -> str:
    """The delimiter: a comma where it makes columns, else the one that makes most."""
    counts = {mark: len(next(csv.reader([header], delimiter=mark), [])) for mark in _DELIMITERS}
    if counts[","] > 1:
        return ","
    return max(counts, key=lambda mark: counts[mark])


def _is_quoted_tsv(path: Path) -> bool:
    with opened(path) as file:
        quoted = 0
        for line in file:
            fields = [f for f in line.rstrip("\r\n").split("\t") if f.startswith('"')]
            if not all(_QUOTED.fullmatch(f) for f in fields):
                return False
            quoted += len(fields)
    return quoted > 0


def _delimited(
    path: Path,
    wanted: Wanted,
    limit: int | None,
    delimiter: str,
    *,
    quoted: bool,
    notes: tuple[str, ...] = (),
) -> Table:
    with opened(path, "" if quoted else "\n") as file:
        rows = _quoted_rows(path, file, delimiter) if quoted else _plain_rows(file, delimiter)
        _, header = next(rows, (0, []))
        header = [name.strip() for name in header]
        if not any(header):
            raise InputError(f"{path} starts with a blank line. Its first line must name the columns.")
        kept = [i for i, name in enumerate(header) if _is_wanted(name, header, wanted)]
        columns: list[list[str]] = [[] for _ in kept]
        for number, (line, row) in enumerate(rows):
            if limit is not None and number >= limit:
                break
            if len(row) != len(header):
                raise InputError(_ragged(path, line, row, header, delimiter))
            for column, i in zip(columns, kept, strict=True):
                column.append(row[i])
    frame = _frame({header[i]: column for i, column in zip(kept, columns, strict=True)})
    return Table(frame=frame, columns=tuple(header), where=str(path), notes=notes)


def _is_wanted(name: str, header: list[str], wanted: Wanted) -> bool:
    """Whether to read a column: named, wanted and unambiguous (`columns` tells the caller the rest)."""
    return bool(name) and header.count(name) == 1 and (wanted is None or name in wanted)


def _frame(columns: dict[str, list[str]]) -> pl.DataFrame:
    import polars as pl

    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _quoted_rows(path: Path, file: IO[str], delimiter: str) -> _Numbered:
    limit = csv.field_size_limit(2**31 - 1)  # the default refuses documents above 128 KiB
    reader = csv.reader(file, delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if row:
                yield reader.line_num, row
    except csv.Error as error:
        raise InputError(
            f"{path}, line {reader.line_num}: {error}. A quote that belongs to the text must be doubled and its "
            'field quoted: "say ""hi""".'
        ) from error
    finally:
        csv.field_size_limit(limit)


def _plain_rows(file: IO[str], delimiter: str) -> _Numbered:
    for line, text in enumerate(file, start=1):
        stripped = text.rstrip("\r\n")
        if stripped:
            yield line, stripped.split(delimiter)


def _ragged(path: Path, line: int, row: list[str], header: list[str], delimiter: str) -> str:
    mark = _DELIMITERS[delimiter]
    return (
        f"{path}, line {line} has {len(row)} fields, the header has {len(header)} "
        f"({', '.join(header)}; delimiter: {mark}). Quote fields that contain a {mark}, or use jsonl."
    )
