"""Rows with their predictions as csv, tsv, jsonl or parquet: what each window adds to the file."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

from thriftune.use.rows import Window

FORMATS = ("csv", "tsv", "jsonl", "parquet")
LINES = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Columns:
    """What a window's rows get beside what they have: a list for each new column, None where there is nothing."""

    names: tuple[str, ...]
    values: list[list[Any]]


@dataclass(frozen=True)
class Delimited:
    """csv or tsv, with a header; lines end in a line feed."""

    names: tuple[str, ...]
    """The columns of the source."""
    delimiter: str
    quoted: bool = True
    """Whether fields are quoted where they must be; else they hold no tab and no line end."""
    mark: bool = False
    """Whether the file begins with a byte order mark."""

    def start(self, new: Sequence[str]) -> bytes:
        """The header."""
        return (b"\xef\xbb\xbf" if self.mark else b"") + self._lines([[*self.names, *new]])

    def window(self, window: Window, new: Columns) -> bytes:
        """The lines of a window's rows."""
        if window.batch is not None:
            rows: list[list[Any]] = [list(row) for row in zip(*_lists(window.batch), strict=True)]
        elif isinstance(window.rows[0], dict):
            rows = [[row.get(name) for name in self.names] for row in window.rows]
        else:
            rows = window.rows
        added = zip(*new.values, strict=True)
        return self._lines([[_cell(value) for value in (*row, *more)] for row, more in zip(rows, added, strict=True)])

    def _lines(self, rows: list[list[str]]) -> bytes:
        if not self.quoted:
            text = "".join(self.delimiter.join(map(_one_line, row)) + "\n" for row in rows)
        else:
            file = io.StringIO()
            lean, full = (
                csv.writer(file, delimiter=self.delimiter, lineterminator="\n", quoting=quoting)
                for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
            )
            for row in rows:  # a carriage return alone is not quoted by every version of csv
                (full if any("\r" in field for field in row) else lean).writerow(row)
            text = file.getvalue()
        return _bytes(text)


@dataclass(frozen=True)
class JsonLines:
    """One object a line; what was an object or a number stays one."""

    names: tuple[str, ...]

    def start(self, new: Sequence[str]) -> bytes:
        """Nothing."""
        return b""

    def window(self, window: Window, new: Columns) -> bytes:
        """The lines of a window's rows."""
        if window.batch is not None:
            rows = [dict(zip(self.names, row, strict=True)) for row in zip(*_lists(window.batch), strict=True)]
        elif isinstance(window.rows[0], dict):
            rows = window.rows
        else:
            rows = [dict(zip(self.names, row, strict=True)) for row in window.rows]
        added = (dict(zip(new.names, more, strict=True)) for more in zip(*new.values, strict=True))
        return b"".join(_object(row | more) for row, more in zip(rows, added, strict=True))


@dataclass(frozen=True)
class Parquet:
    """Windows as Arrow streams, one after another, which `packed` makes a parquet file of."""

    names: tuple[str, ...]
    types: tuple[Any, ...]
    """Arrow types of the source's columns, where they are not those of its batches."""

    def start(self, new: Sequence[str]) -> bytes:
        """A stream without rows: what the columns are."""
        import pyarrow as pa

        arrays = [pa.array([], kind) for kind in (*self.types, *_types(new))]
        return _stream(pa.record_batch(arrays, names=[*self.names, *new]))

    def window(self, window: Window, new: Columns) -> bytes:
        """A stream of a window's rows."""
        import pyarrow as pa

        if window.batch is not None:
            arrays = list(window.batch.columns)
        else:
            arrays = [
                pa.array([_typed(value, kind) for value in window.column(name, position)], kind)
                for position, (name, kind) in enumerate(zip(self.names, self.types, strict=True))
            ]
        arrays += [pa.array(values, kind) for values, kind in zip(new.values, _types(new.names), strict=True)]
        return _stream(pa.record_batch(arrays, names=[*self.names, *new.names]))


def json_types(types: dict[str, set[type]]) -> tuple[Any, ...]:
    """Arrow types for the values of jsonl: numbers, truth values and texts; mixtures and nested ones as JSON text."""
    import pyarrow as pa

    plain = {frozenset({bool}): pa.bool_(), frozenset({int}): pa.int64(), frozenset({float}): pa.float64()}
    plain[frozenset({int, float})] = pa.float64()
    return tuple(plain.get(frozenset(kinds - {type(None)}), pa.string()) for kinds in types.values())


def packed(source: Path, target: Path, compressed: str = "zstd") -> None:
    """Makes a parquet file of the streams in a file, one in memory at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with source.open("rb") as file:
        size = source.stat().st_size
        with pa.ipc.open_stream(file) as first:
            schema = first.schema
            first.read_all()
        with pq.ParquetWriter(target, schema, compression=compressed) as writer:
            while file.tell() < size:
                with pa.ipc.open_stream(file) as stream:
                    writer.write_table(stream.read_all())


def _types(names: Sequence[str]) -> list[Any]:
    """The first new column is the label and the last the reason; what lies between are numbers."""
    import pyarrow as pa

    return [pa.string(), *[pa.float64()] * (len(names) - 2), pa.string()]


def _stream(batch: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _typed(value: Any, kind: Any) -> Any:
    """A value of jsonl or csv as Arrow takes it in a column of that type."""
    if value is None or str(kind) != "string":
        return value
    return _text(value).encode("utf-8", "replace").decode("utf-8")


def _lists(batch: Any) -> list[list[Any]]:
    return [column.to_pylist() for column in batch.columns]


def _cell(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _text(value)


def _text(value: Any) -> str:
    """A value that is no text, as csv has it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=_plain)
    return str(value) if isinstance(value, int | float) else str(_plain(value))


def _plain(value: Any) -> Any:
    """What JSON has no type for."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            return base64.b64encode(value).decode("ascii")
    return str(value)


def _object(row: dict[str, Any]) -> bytes:
    dump: Callable[..., str] = json.dumps
    try:
        return dump(row, ensure_ascii=False, default=_plain).encode("utf-8") + b"\n"
    except UnicodeEncodeError:  # half a character: an escape is valid JSON
        return dump(row, default=_plain).encode("ascii") + b"\n"


def _one_line(field: str) -> str:
    return " ".join(field.splitlines()).replace("\t", " ") if "\t" in field or len(field.splitlines()) > 1 else field


def _bytes(text: str) -> bytes:
    """UTF-8; bytes that were none in the source come out as they were."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
