"""Reads json lines: one object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.data.encoding import opened
from thriftune.data.table import Table, Wanted
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl


def read_jsonl(path: Path, wanted: Wanted, limit: int | None) -> Table:
    columns: dict[str, list[Any]] = {}
    number = 0
    with opened(path) as file:
        for line, text in enumerate(file, start=1):
            if limit is not None and number >= limit:
                break
            if not text.strip():
                continue
            for name, value in _json_object(path, line, text).items():
                column = columns.get(name)
                if column is None:
                    column = columns[name] = [] if wanted is None or name in wanted else _Ignored()
                column.extend([None] * (number - len(column)))
                column.append(value)
            number += 1
    kept = {name: column for name, column in columns.items() if not isinstance(column, _Ignored)}
    for column in kept.values():
        column.extend([None] * (number - len(column)))
    if not columns and number:
        raise InputError(f"{path} holds only empty objects. Each line must be one object with text and label.")
    return Table(frame=_mixed_frame(path, kept), columns=tuple(columns), where=str(path))


class _Ignored(list[Any]):
    """The values of a column that nobody asked for."""

    def append(self, value: Any) -> None:
        """Forgets the value."""

    def extend(self, values: Any) -> None:
        """Forgets the values."""


def _json_object(path: Path, line: int, text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"{path}, line {line} is not JSON: {error.msg} at column {error.colno}. "
            "Each line must be one object; a file that is one JSON array has to be split into lines."
        ) from error
    if not isinstance(value, dict):
        raise InputError(
            f"{path}, line {line} is a JSON {type(value).__name__}. Each line must be one object "
            'like {"text": "...", "label": "..."}.'
        )
    return value


def _mixed_frame(path: Path, columns: dict[str, list[Any]]) -> pl.DataFrame:
    """Columns of one type keep it, lists of strings too; numbers and strings in one column become strings."""
    import polars as pl

    return pl.DataFrame([_series(path, name, values) for name, values in columns.items()])


def _series(path: Path, name: str, values: list[Any]) -> pl.Series:
    import polars as pl

    kinds = {type(value) for value in values if value is not None}
    if kinds == {list} and all(isinstance(item, str | None) for value in values for item in value or ()):
        return pl.Series(name, values, dtype=pl.List(pl.String))
    if kinds & {dict, list}:
        raise InputError(
            f'{path}: column "{name}" holds nested values (objects, or lists of other than strings). '
            "Give a column of plain values."
        )
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {float}:
        return pl.Series(name, values, dtype=pl.Float64)
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    texts = [value if value is None else str(value) for value in values]
    try:
        return pl.Series(name, texts, dtype=pl.String)
    except UnicodeEncodeError as error:
        raise InputError(
            f'{path}: column "{name}" holds half a character (a lone surrogate escape such as \\ud83d). '
            "Write the file again as UTF-8."
        ) from error
