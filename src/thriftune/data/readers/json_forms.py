"""The objects, one a row, in a JSON document: an array of them, the forms of pandas' to_json, a wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from thriftune.data.splits.names import split_of
from thriftune.errors import InputError

_Objects = list[dict[str, Any]]
_WANTED = 'Give an array of objects: [{"text": "...", "label": "..."}, ...], or one object a line.'


def objects_of(value: Any, where: str) -> tuple[_Objects, tuple[str, ...]]:
    """The rows of a document as objects, and a note on the form where it is not an array of them.

    Raises `InputError` for values without names and for documents that hold several lists of rows.
    """
    if isinstance(value, list):
        return _array(value, where), ()
    if not isinstance(value, dict):
        raise InputError(f"{where} is a JSON {_kind(value)}. {_WANTED}")
    if _is_split(value):
        return _from_split(value, where), _noted("split")
    if (splits := _from_splits(value)) is not None:
        return splits
    lists = {name: item for name, item in value.items() if _has_objects(item)}
    if lists:
        return _wrapped(value, lists, where)
    return _from_columns(value, where)


def _from_columns(value: dict[str, Any], where: str) -> tuple[_Objects, tuple[str, ...]]:
    """The rows of a document of columns, or the document itself as one row."""
    if value and all(isinstance(item, dict) for item in value.values()):
        return _from_mappings(value)
    if value and all(isinstance(item, list) for item in value.values()):
        return _from_lists(value, where), ("The document holds one list per column.",)
    return [value], ()


def _from_splits(value: dict[str, Any]) -> tuple[_Objects, tuple[str, ...]] | None:
    """The rows of several splits, each with its split's name; None for documents whose keys are no splits.

    A row is an object, or a text with its label ([text, label]: what repeats more is the label).
    """
    if len(value) < 2 or not all(isinstance(rows, list) and split_of(name) for name, rows in value.items()):
        return None
    rows = [(name, row) for name, listed in value.items() for row in listed]
    note = f'The keys of the document ({", ".join(value)}) are in the column "split".'
    if rows and all(isinstance(row, dict) and "split" not in row for _, row in rows):
        return [{**row, "split": name} for name, row in rows], (note,)
    if not rows or not all(_is_pair(row) for _, row in rows):
        return None
    first, second = ({row[i] for _, row in rows} for i in (0, 1))
    text, label = (0, 1) if len(second) <= len(first) else (1, 0)
    pairs = [{"text": row[text], "label": row[label], "split": name} for name, row in rows]
    return pairs, (f"{note} Its rows are pairs without names: their columns are called text and label.",)


def _is_pair(row: Any) -> bool:
    return isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row)


def _wrapped(value: dict[str, Any], lists: dict[str, list[Any]], where: str) -> tuple[_Objects, tuple[str, ...]]:
    """The rows of the one list of objects in a document."""
    if len(lists) > 1:
        raise InputError(
            f"{where} holds several lists of objects ({', '.join(lists)}). Write each to a file of its own, and "
            "name one per split: {train: a.json, test: b.json}."
        )
    name, rows = next(iter(lists.items()))
    if name == "data" and "schema" in value:
        return _without_index(rows, value["schema"], where), _noted("table")
    return _array(rows, where), (f'The rows are those of "{name}" in the document.',)


def _noted(form: str) -> tuple[str, ...]:
    return (f'The document has the form "{form}" of pandas\' to_json.',)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _has_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _array(rows: list[Any], where: str) -> _Objects:
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict):
            what = "an array of values without names" if isinstance(row, list) else f"a JSON {_kind(row)}"
            raise InputError(f"{where}: row {number} is {what}. {_WANTED}")
    return rows


def _is_split(value: Mapping[str, Any]) -> bool:
    """Columns, index and data apart, as orient="split" writes them."""
    columns, data = value.get("columns"), value.get("data")
    return isinstance(columns, list) and isinstance(data, list) and all(isinstance(row, list) for row in data)


def _from_split(value: Mapping[str, Any], where: str) -> _Objects:
    names = [str(name) for name in value["columns"]]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f'{where}: the column "{twice}" occurs {names.count(twice)} times in "columns". Rename one.')
    for number, row in enumerate(value["data"], start=1):
        if len(row) != len(names):
            raise InputError(f'{where}: row {number} of "data" has {len(row)} values, "columns" has {len(names)}.')
    return [dict(zip(names, row, strict=True)) for row in value["data"]]


def _without_index(rows: list[Any], schema: Any, where: str) -> _Objects:
    key = schema.get("primaryKey") if isinstance(schema, dict) else None
    index = set(key) & {"index", "level_0"} if isinstance(key, list) and all(isinstance(k, str) for k in key) else set()
    return [{name: item for name, item in row.items() if name not in index} for row in _array(rows, where)]


def _from_mappings(value: Mapping[str, Mapping[str, Any]]) -> tuple[_Objects, tuple[str, ...]]:
    """Rows of {column: {row: value}}, or of {row: {column: value}}: rows are numbered, else they are the more."""
    outer = list(value)
    inner = list(dict.fromkeys(name for item in value.values() for name in item))
    numbered = [_numbered(outer), _numbered(inner)]
    by_row = numbered[0] if numbered[0] != numbered[1] else len(outer) > len(inner)
    if by_row:
        return [dict(item) for item in value.values()], _noted("index")
    return [{name: value[name].get(row) for name in outer} for row in inner], _noted("columns")


def _numbered(names: list[str]) -> bool:
    return bool(names) and all(name.isdecimal() for name in names)


def _from_lists(value: Mapping[str, list[Any]], where: str) -> _Objects:
    lengths = {name: len(items) for name, items in value.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name}: {length:,}" for name, length in list(lengths.items())[:8])
        raise InputError(f"{where} holds one list per column, and they differ in length ({shown}). {_WANTED}")
    if any(isinstance(item, list) for items in value.values() for item in items):
        raise InputError(f"{where} holds lists of values without names ({', '.join(list(value)[:8])}). {_WANTED}")
    return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
