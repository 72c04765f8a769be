"""Reads json lines (one object a line) and json documents (arrays of objects, pandas' forms)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from thriftune.data.readers.content import Content
from thriftune.data.readers.json_columns import JsonColumn, json_frame
from thriftune.data.readers.json_forms import objects_of
from thriftune.data.table import ReadOptions, SourceTable
from thriftune.errors import InputError

_Object = dict[str, Any]
_DECODER = json.JSONDecoder(parse_constant=lambda name: None if name == "NaN" else float(name))
"""NaN, which Python and pandas write, is a missing value."""


def read_json(content: Content, reading: ReadOptions) -> SourceTable:
    """Reads objects with text and label, one a line or all in one document.

    Raises `InputError` for what is not JSON, naming the line, and for documents without named columns.
    """
    if _has_lines(content):
        return _table(content, reading, _line_objects(content), ())
    objects, notes = objects_of(_document(content), str(content.path))
    return _table(content, reading, objects, notes)


def _table(content: Content, reading: ReadOptions, objects: Iterable[_Object], notes: tuple[str, ...]) -> SourceTable:
    columns: dict[str, JsonColumn | None] = {}
    number = 0
    for number, value in enumerate(objects, start=1):
        for name, item in value.items():
            if name not in columns:
                columns[name] = JsonColumn(name) if reading.wants(name) else None
            if (column := columns[name]) is not None:
                column.put(number, item)
    kept = {name: column.values(number) for name, column in columns.items() if column is not None}
    if not columns and number:
        raise InputError(f"{content.path} holds only empty objects. Each one must have text and label.")
    frame, left_out = json_frame(kept, str(content.path), everything=reading.wanted is None)
    notes = (*content.notes, *notes, *left_out)
    return SourceTable(frame=frame, columns=tuple(columns), where=str(content.path), notes=notes)


def _has_lines(content: Content) -> bool:
    """Whether the file has an object a line, judged by its first two lines that are not blank."""
    with content.lines() as file:
        filled = (line.strip() for line in file if line.strip())
        first, second = next(filled, ""), next(filled, None)
    if not first.startswith(("[", "{")):
        return True
    if second is None:  # pandas writes a document in one line
        return first.startswith("{") and content.ending != ".json" and _is_json(first)
    if first.startswith("["):
        return _is_json(first)  # a list a line, which is said of its first line
    return _is_json(first) or (not first.endswith(("{", "[", ",", ":")) and _is_json(second))


def _is_json(line: str) -> bool:
    try:
        return isinstance(_DECODER.decode(line), dict | list)
    except (ValueError, RecursionError):
        return False


def _line_objects(content: Content) -> Iterator[_Object]:
    advice = "Each line must be one object, or the file one array of objects."
    with content.lines() as file:
        for line, text in enumerate(file, start=1):
            if not text.strip():
                continue
            value = _parsed(partial(_DECODER.decode, text.strip()), str(content.path), advice, line)
            if not isinstance(value, dict):
                raise InputError(
                    f"{content.path}, line {line} is a JSON {type(value).__name__}. Each line must be one object "
                    'like {"text": "...", "label": "..."}.'
                )
            yield value


def _document(content: Content) -> Any:
    """The value of the whole file; several values one after the other make a list."""
    with content.lines() as file:
        text = file.read()
    values: list[Any] = []
    position = _filled(text, 0)
    while position < len(text):
        decode = partial(_DECODER.raw_decode, text, position)
        value, position = _parsed(decode, str(content.path), "Give one object a line, or one array of objects.")
        values.append(value)
        position = _filled(text, position)
    return values[0] if len(values) == 1 else values


def _filled(text: str, position: int) -> int:
    """The next place that is not blank."""
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _parsed(decode: Callable[[], Any], where: str, advice: str, line: int | None = None) -> Any:
    place = where if line is None else f"{where}, line {line}"
    try:
        return decode()
    except json.JSONDecodeError as error:
        place = f"{where}, line {line or error.lineno}"
        raise InputError(f"{place} is not JSON: {error.msg} at column {error.colno}. {advice}") from error
    except RecursionError as error:
        raise InputError(f"{place} is nested too deeply to be read. {advice}") from error
    except ValueError as error:
        raise InputError(f"{place} holds a number that is too long: {error}. {advice}") from error
