"""A file's rows in windows: as many as are predicted together, whatever its size."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from thriftune.errors import InputError

WINDOW = 2048
"""Rows that are predicted together, and what a kill costs at most: minutes, with a large model on a CPU."""
CHARACTERS = 1 << 24
"""A window ends before the row with which its rows would hold more."""
SHOWN = 200
"""Characters of a line that no row could be made of."""
NO_TEXT = re.compile("[\ud800-\udfff]")
"""Halves of characters, which no encoding of text holds."""

Texts = Iterable[str] | Iterable[tuple[str, str]] | Any
"""As Python gives them: texts, or pairs of texts, in lists, arrays or columns of tables."""


@dataclass(frozen=True)
class Window:
    """Neighbouring rows."""

    rows: list[Any]
    """The values of each row, in the order of the file's columns; of jsonl an object for each row."""
    reasons: list[str]
    """Why a row cannot be used, by row; empty where it can."""
    read: float
    """The share of the file that was read, 0 to 1."""
    batch: Any = None
    """The same rows as they stand in a parquet file."""

    def column(self, name: str, position: int) -> list[Any]:
        """One column's values; None where a row has none."""
        if self.batch is not None:
            return list(self.batch.column(position).to_pylist())
        return [row.get(name) if isinstance(row, dict) else row[position] for row in self.rows]


class Rows(Protocol):
    """A file that can be read again and again."""

    names: tuple[str, ...]
    """Its columns."""
    notes: tuple[str, ...]
    """What was guessed in reading."""

    def windows(self, skip: int) -> Iterator[Window]:
        """Its rows without the first `skip`."""


class Gatherer:
    """Makes windows of rows that come one by one; `read` says what share of the file was read."""

    def __init__(self, skip: int, read: Callable[[], float]) -> None:
        self._skip = skip
        self._read = read
        self._start()

    def _start(self) -> None:
        self._rows: list[Any] = []
        self._reasons: list[str] = []
        self._size = 0

    def add(self, row: Any, reason: str, size: int) -> Iterator[Window]:
        """Takes a row of so many characters; gives the window before it where that is full."""
        if self._skip:
            self._skip -= 1
            return
        if len(self._rows) == WINDOW or (self._rows and self._size + size > CHARACTERS):
            yield from self.rest()
        self._rows.append(row)
        self._reasons.append(reason)
        self._size += size

    def rest(self) -> Iterator[Window]:
        """The last window, where anything is left."""
        if self._rows:
            made = Window(self._rows, self._reasons, self._read())
            self._start()
            yield made


def texts_of(window: Window, columns: Sequence[tuple[str, int]]) -> tuple[list[int], list[list[str]], list[str]]:
    """The rows that can be used, their texts (one list a column), and why each of the others cannot, by row."""
    reasons = list(window.reasons)
    texts = []
    for name, position in columns:
        values = window.column(name, position)
        for index, value in enumerate(values):
            values[index], reason = as_text(value)
            reasons[index] = reasons[index] or (f'{reason} in "{name}"' if reason else "")
        texts.append(values)
    usable = [index for index, reason in enumerate(reasons) if not reason]
    return usable, [[column[index] for index in usable] for column in texts], reasons


def as_text(value: Any) -> tuple[str, str]:
    """A cell as training would read it, and what it holds instead of text; one of the two is empty."""
    if isinstance(value, str):
        if not value.strip():
            return "", "no text"
        return ("", "half a character (damaged encoding)") if NO_TEXT.search(value) else (value, "")
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "", "no text"
    if isinstance(value, bool):
        return str(value).lower(), ""
    for kind, name in ((dict, "an object"), (list, "a list"), (bytes, "bytes")):
        if isinstance(value, kind):
            return "", name
    return str(value), ""


def rows_of(texts: Texts, count: int | None, places: Sequence[int] | None = None) -> list[tuple[str, ...]]:
    """Every text as a tuple of its parts; raises `InputError` where one is something else.

    `places` are the numbers that messages give them, 0 and so on where there are none.
    """
    if isinstance(texts, str | bytes):
        raise InputError("One text is given, not a list of texts. Put it into a list: [text].")
    rows: list[tuple[str, ...]] = []
    for place, text in enumerate(texts):
        index = place if places is None else places[place]
        row = (text,) if isinstance(text, str) else tuple(text) if isinstance(text, tuple | list) else (None,)
        if count is None:
            count = len(row)
        if len(row) != count or not all(isinstance(part, str) for part in row):
            wanted = "a pair of texts, as it was trained on two columns" if count == 2 else "a text"
            raise InputError(f"Item {index} is {_kind(text)}; {wanted} is needed.")
        if any(NO_TEXT.search(part) for part in row):
            raise InputError(f"Item {index} holds half a character (a lone surrogate). Repair the text.")
        rows.append(row)
    return rows


def _kind(item: object) -> str:
    if isinstance(item, tuple | list):
        return f"{type(item).__name__} of {len(item)}: {', '.join(type(part).__name__ for part in item[:3])}"
    return "a text" if isinstance(item, str) else f"of type {type(item).__name__}"
