"""JSON for people and for size: one key a line, a list of numbers on one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

NUMBERS = frozenset((int, float))


def json_text(data: Any) -> str:
    """JSON that `json.loads` reads back; raises `ValueError` on NaN or infinity, which JSON does not have.

    A confusion matrix takes one line a row: with hundreds of classes a tenth of the time and size of one line a number.
    """
    return "".join(_parts(data, "\n"))


def indented(value: Any, depth: int) -> str:
    """The same, as it stands so deep within a larger text."""
    return "".join(_parts(value, "\n" + " " * depth))


def _parts(value: Any, line: str) -> Iterator[str]:
    inner = f"{line} "
    if isinstance(value, dict) and value:
        opening = "{"
        for key, item in value.items():
            yield f"{opening}{inner}{_key(key)}: "
            yield from _parts(item, inner)
            opening = ","
        yield f"{line}}}"
    elif isinstance(value, list | tuple) and value and not NUMBERS.issuperset(map(type, value)):
        opening = "["
        for item in value:
            yield f"{opening}{inner}"
            yield from _parts(item, inner)
            opening = ","
        yield f"{line}]"
    else:
        yield _plain(value)


def _plain(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _key(key: Any) -> str:
    """As `json.dumps` writes it: a number, a truth value or None becomes a string."""
    return _plain(key) if isinstance(key, str) else _plain({key: 0})[1:-3]
