"""Reads csv, tsv and jsonl files row by row; what no row can be made of stays in its place, with a reason."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from thriftune.data.readers import delimited
from thriftune.data.readers.compressed import BROKEN
from thriftune.data.readers.content import Content
from thriftune.data.readers.encoding import find_encoding
from thriftune.errors import InputError, shortened
from thriftune.use.rows import SHOWN, Gatherer, Window

OPENED: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
MOST_LINES = 2000
"""Of one row: a quote that opens is taken for a stray one where none closes it within so many lines."""
MOST_KEYS = 10_000
"""Of a jsonl file, where they become columns."""


@dataclass(frozen=True)
class Streamed(Content):
    """Text that is never in memory as a whole; bytes that are no UTF-8 come through as they are."""

    def opened(self) -> IO[bytes]:
        """The bytes from their start, unpacked."""
        return OPENED.get(self.path.suffix.lower(), open)(self.path, "rb")  # type: ignore[no-any-return]

    @contextmanager
    def lines(self, newline: str = "\n") -> Iterator[IO[str]]:
        """As `Content.lines`, without its error."""
        errors = "surrogateescape" if self.codec.startswith("utf-8") else "replace"
        with io.TextIOWrapper(self.opened(), encoding=self.codec, errors=errors, newline=newline) as file:
            yield file


def streamed(path: Path) -> Streamed:
    """The content of a text file; raises `InputError` where it is empty, no text or damaged."""
    content = Streamed(path, path.name, "utf-8")
    try:
        with content.opened() as file:
            start = file.read(1 << 16)
        if not start:
            raise InputError(f"{path} is empty. Give a file with rows.")
        found = find_encoding(content.opened, str(path))
    except InputError:
        if not start or b"\0" in start:
            raise
        note = f"{path.name} is not whole UTF-8: rows with damaged characters are given no label."
        return Streamed(path, path.name, "utf-8", (note,))
    except BROKEN as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    notes = (f"{path.name} is read as {found.codec}, as its bytes suggest.",) if found.guessed else ()
    return Streamed(path, path.name, found.codec, notes)


def _share(content: Content, file: IO[str]) -> Callable[[], float]:
    """What says how much of a file was read, by the place of its bytes."""
    raw: Any = file.buffer  # type: ignore[attr-defined]
    raw = getattr(raw, "fileobj", None) or raw  # of gzip the packed bytes
    size = max(1, content.path.stat().st_size)
    return lambda: min(1.0, float(raw.tell() / size))


class Delimited:
    """Rows of csv or tsv below a header."""

    def __init__(self, content: Streamed, kind: str) -> None:
        self.content = content
        given = delimited._separator_line(content)
        self._skip = 1 if given else 0
        self.quoted = True
        if kind == "tsv":
            self.delimiter = "\t"
            ragged, well_formed = delimited._plain_tabs(content, self._skip)
            self.quoted = well_formed if ragged is None else delimited._is_quoted(content, self._skip, ragged)
        else:
            self.delimiter = given or delimited.fitting_delimiter(content) or delimited._header_delimiter(content)
        mark = {",": "", "\t": ""}.get(
            self.delimiter, f"{content.path.name} is read with {self.delimiter} as delimiter."
        )
        self.notes = (*content.notes, *([mark] if mark else []))
        with content.lines("") as file, delimited._unlimited():
            header, wrong, _ = next(self._records(file), ([], "", 0))
        if wrong or not header:
            raise InputError(
                f"{content.path} has no header: {wrong or 'its first line is blank'}. Name the columns there."
            )
        self.names = tuple(header)

    def windows(self, skip: int) -> Iterator[Window]:
        """As `Rows` says."""
        width = len(self.names)
        with self.content.lines("") as file, delimited._unlimited():
            made, records = Gatherer(skip, _share(self.content, file)), self._records(file)
            next(records)
            for row, wrong, size in records:
                fitted = [*row[:width], *[""] * (width - len(row))]
                yield from made.add(fitted, wrong or self._misfit(row), size)
            yield from made.rest()

    def _misfit(self, row: list[str]) -> str:
        """What is wrong with the number of a row's fields; blank ones at its end are nothing."""
        width = len(self.names)
        if len(row) == width or (len(row) > width and not any(row[width:])):
            return ""
        left = shortened(self.delimiter.join(row[width:]), SHOWN)
        return f"malformed: {len(row)} fields, the header has {width}{f'; left over: {left}' if left else ''}"

    def _records(self, file: IO[str]) -> Iterator[tuple[list[str], str, int]]:
        """The fields of each row, the header's first, what is wrong with its quotes, and its characters."""
        for _ in range(self._skip):
            file.readline()
        if self.quoted:
            yield from _quoted(file, self.delimiter)
            return
        for line in file:
            bare = line.rstrip("\r\n")
            if bare if self.delimiter in bare else bare.strip():
                yield bare.split(self.delimiter), "", len(bare)


def _quoted(file: IO[str], delimiter: str) -> Iterator[tuple[list[str], str, int]]:
    """Rows with quotes. A line with a broken one is a row by itself, and the lines after it are read anew."""
    again: deque[str] = deque()
    taken: list[str] = []

    def feed() -> Iterator[str]:
        while len(taken) < MOST_LINES:
            line = again.popleft() if again else file.readline()
            if not line:
                return
            taken.append(line)
            yield line

    while True:
        try:
            for row in csv.reader(feed(), delimiter=delimiter, strict=True):
                size = sum(map(len, taken))
                taken.clear()
                if len(row) > 1 or (row and (row[0].strip() or size > 2)):  # "" in quotes is a row, a blank line none
                    yield row, "", size
            return
        except csv.Error as error:
            first, *rest = taken
            again.extendleft(reversed(rest))
            taken.clear()
            said = (
                "a quote opens and does not close" if "unexpected end" in str(error) else "text follows a closing quote"
            )
            lenient = next(csv.reader([first], delimiter=delimiter), [])
            yield [field.rstrip("\r\n") for field in lenient], f"malformed: {said}", len(first)


class JsonLines:
    """Rows of jsonl: one object a line."""

    quoted = True

    def __init__(self, content: Streamed) -> None:
        self.content, self.notes = content, content.notes
        types: dict[str, set[type]] = {}
        with content.lines() as file:
            for row, _, _ in _objects(file):
                for key, value in row.items():
                    types.setdefault(key, set()).add(_type(value))
                if len(types) > MOST_KEYS:
                    raise InputError(f"The objects in {content.path} have more than {MOST_KEYS:,} different keys.")
        if not types:
            raise InputError(f"{content.path} has no line with a JSON object. Give one object a line.")
        self.types = types
        """The types of each key's values."""
        self.names = tuple(types)

    def windows(self, skip: int) -> Iterator[Window]:
        """As `Rows` says."""
        with self.content.lines() as file:
            made = Gatherer(skip, _share(self.content, file))
            for row, wrong, size in _objects(file):
                yield from made.add(row, wrong, size)
            yield from made.rest()


def _type(value: Any) -> type:
    """A value's type; a number with more digits than a column of numbers holds counts as text."""
    return str if type(value) is int and not -(1 << 63) <= value < 1 << 63 else type(value)


def _objects(file: IO[str]) -> Iterator[tuple[dict[str, Any], str, int]]:
    """The object of each line that is not blank, what is wrong with it, and its characters."""
    for line in file:
        if line.strip():
            yield *_object(line), len(line)


def _object(line: str) -> tuple[dict[str, Any], str]:
    """The object of a line; without one what is wrong, and the line."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return {}, f"malformed: no JSON ({what}): {shortened(line.strip(), SHOWN)}"
    if not isinstance(row, dict):
        return {}, f"malformed: no JSON object: {shortened(line.strip(), SHOWN)}"
    return row, ""
