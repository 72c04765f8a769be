"""Columns of JSON values: of one type each, or refused with the rows that differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from thriftune.data.labels import plain_name
from thriftune.data.large.tables import ROWS, Parts
from thriftune.errors import InputError

if TYPE_CHECKING:
    import polars as pl

_NAMED = {"text", "label", "labels", "class", "category", "target", "sentiment", "intent", "topic"}
"""Names under which a column is missed when it cannot be read."""
_HALF = "holds half a character (a lone surrogate escape such as \\ud83d). Write the file again as UTF-8."
_EXACT = 2**53
_FEWEST = 2


class _UnreadableError(ValueError):
    """Why a column cannot be read."""


class JsonColumn:
    """The values of one column, which come row by row; many of one type go to a file as they come."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts = Parts()
        self._done = 0
        self._tail: list[Any] = []
        self._kind: type | None = None
        """Of the values that went away; None until some did."""
        self._alike = True

    def put(self, row: int, value: Any) -> None:
        """The value of a row (from 1); rows before it that had none are missing values."""
        gap = row - 1 - self._done - len(self._tail)
        if gap > 0:
            self._tail.extend([None] * gap)
        self._tail.append(value)
        if len(self._tail) >= ROWS and self._alike:
            self._put_away()

    def values(self, rows: int) -> list[Any] | pl.Series:
        """All values: a list, or a column of values of one type and missing ones alone."""
        self._tail.extend([None] * (rows - self._done - len(self._tail)))
        if self._done and self._alike:
            self._put_away()
        frame = self._parts.finished()
        self._parts.drop()
        if frame is None:
            return self._tail
        return frame[self._name] if not self._tail else [*frame[self._name].to_list(), *self._tail]

    def _put_away(self) -> None:
        import polars as pl

        kinds = {type(value) for value in self._tail} - {type(None)}
        kind = self._kind or (kinds.pop() if len(kinds) == 1 else str)
        types: dict[type, type[pl.DataType]] = {str: pl.String, int: pl.Int64, bool: pl.Boolean, float: pl.Float64}
        self._alike = kind in types and not kinds - {kind}
        if not self._alike:
            return  # what type it has is found from all values
        try:
            self._parts.add(pl.DataFrame({self._name: pl.Series(self._tail, dtype=types[kind])}))
        except (UnicodeEncodeError, OverflowError, TypeError):
            self._alike = False
            return
        self._kind = kind
        self._done += len(self._tail)
        self._tail = []


def json_frame(
    columns: Mapping[str, list[Any] | pl.Series], where: str, *, everything: bool
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The columns as a frame, and notes on those left out.

    A column of one type keeps it, and so do lists of plain values (as strings); numbers among strings become their
    names (1, not 1.0). Nested values and other mixtures raise `InputError`, naming the rows; where `everything` is
    read, without anyone having asked for the column, it is left out instead, unless too little remains.
    """
    import polars as pl

    series = []
    problems: dict[str, str] = {}
    for name, values in columns.items():
        try:
            series.append(_series(name, values))
        except _UnreadableError as error:
            problems[name] = str(error)
    missed = [name for name in problems if name.lower() in _NAMED]
    if problems and (missed or not everything or len(series) < _FEWEST):
        name = missed[0] if missed else next(iter(problems))
        raise InputError(f'{where}: column "{name}" {problems[name]}')
    notes = tuple(f'The column "{name}" is left out: it {problem}' for name, problem in problems.items())
    return pl.DataFrame(series), notes


def _series(name: str, values: list[Any] | pl.Series) -> pl.Series:
    import polars as pl

    if isinstance(values, pl.Series):
        return values
    kinds = {type(value) for value in values} - {type(None)}
    if dict in kinds:
        raise _UnreadableError(_nested(values, dict))
    if kinds == {list}:
        return _lists(name, values)
    if kinds == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if kinds == {float} or (kinds == {int, float} and all(abs(v) <= _EXACT for v in values if isinstance(v, int))):
        return pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pl.Series(name, values, dtype=pl.Int64)
    if list in kinds or (bool in kinds and not _all_truths(values)):
        raise _UnreadableError(_mixture(values))
    return _strings(name, [None if value is None else plain_name(value) for value in values], pl.String())


def _strings(name: str, values: list[Any], kind: pl.DataType) -> pl.Series:
    import polars as pl

    try:
        return pl.Series(name, values, dtype=kind)
    except UnicodeEncodeError as error:
        raise _UnreadableError(_HALF) from error


def _lists(name: str, values: list[Any]) -> pl.Series:
    import polars as pl

    if any(isinstance(item, dict | list) for value in values for item in value or ()):
        raise _UnreadableError(_nested(values, list))
    named = [
        None if value is None else [None if item is None else plain_name(item) for item in value] for value in values
    ]
    return _strings(name, named, pl.List(pl.String))


def _all_truths(values: list[Any]) -> bool:
    """Whether strings beside booleans are truth values too."""
    return all(
        value is None or isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
        for value in values
    )


def _nested(values: list[Any], kind: type) -> str:
    row, value = next((i, v) for i, v in enumerate(values, start=1) if isinstance(v, kind) and _is_nested(v))
    return f"holds nested values (row {row}: {_shown(value)}). Give a column of plain values."


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict) or any(isinstance(item, dict | list) for item in value)


def _mixture(values: list[Any]) -> str:
    first: dict[str, tuple[int, Any]] = {}
    for row, value in enumerate(values, start=1):
        if value is not None:
            first.setdefault(_KINDS[type(value)], (row, value))
    shown = ", ".join(f"{_shown(value)} in row {row}" for row, value in first.values())
    return f"mixes {' and '.join(first)} ({shown}). Write all values alike."


_KINDS = {bool: "true or false", int: "numbers", float: "numbers", str: "text", list: "lists"}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True)
    return text if len(text) <= 60 else f"{text[:57]}..."
