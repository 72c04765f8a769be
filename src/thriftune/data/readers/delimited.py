"""Reads csv, tsv and txt files; every column is a string, as written."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator
from itertools import islice

from thriftune.data.readers.content import Content
from thriftune.data.readers.grid import Grid, grid_table
from thriftune.data.table import ReadOptions, SourceTable
from thriftune.errors import InputError

_NumberedRows = Generator[tuple[int, int, list[str]], None, None]

_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_MARKS = "".join(_DELIMITERS)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_LOOKED_AT = 200
_FIELD_LIMIT = 2**31 - 1
_ADVICE = 'A quote that belongs to the text must be doubled and its field quoted: "say ""hi""".'


def read_csv(content: Content, reading: ReadOptions) -> SourceTable:
    """Reads delimited rows with quotes; the delimiter is that of a first line `sep=;`, else found from the rows."""
    given = _separator_line(content)
    delimiter = given or fitting_delimiter(content) or _header_delimiter(content)
    notes = list(content.notes)
    if given:
        notes.append(f"{content.path.name} is read with {_word(given)} as delimiter, as its first line says.")
    elif delimiter != ",":
        notes.append(f"{content.path.name} is read with {_word(delimiter)} as delimiter, as its header suggests.")
    return _table(content, reading, delimiter, quoted=True, skip=1 if given else 0, notes=notes)


def read_tsv(content: Content, reading: ReadOptions) -> SourceTable:
    """Tab-separated text. Quotes are text, unless every quoted field is a well-formed one (in .tsv files), or only
    quoted fields with line breaks or tabs give every row as many fields as the first."""
    if (given := _separator_line(content)) is not None and given != "\t":
        return read_csv(content, reading)
    if given is None and content.ending == ".tsv" and not _has_tabs(content) and fitting_delimiter(content) is not None:
        return read_csv(content, reading)
    skip = 1 if given else 0
    ragged, well_formed = _plain_tabs(content, skip)
    quoted = well_formed and content.ending == ".tsv" if ragged is None else _is_quoted(content, skip, ragged)
    notes = list(content.notes)
    if quoted:
        notes.append(f"{content.path.name} has quoted fields; the quotes are not part of the text.")
    return _table(content, reading, "\t", quoted=quoted, skip=skip, notes=notes)


def fitting_delimiter(content: Content, marks: str = _MARKS) -> str | None:
    """Of the marks that give the first rows as many fields as the header, above one, the one that makes most."""
    counts = {mark: _field_counts(content, mark) for mark in marks}
    fitting = [mark for mark, found in counts.items() if found and found[0] > 1 and len(set(found)) == 1]
    return max(fitting, key=lambda mark: counts[mark][0], default=None)


def _header_delimiter(content: Content) -> str:
    """A comma where it makes columns in the header, else the mark that makes most."""
    counts = {mark: (_field_counts(content, mark) or [0])[0] for mark in _MARKS}
    return "," if counts[","] > 1 else max(counts, key=lambda mark: counts[mark])


def _word(delimiter: str) -> str:
    return _DELIMITERS.get(delimiter, f'"{delimiter}"')


def _separator_line(content: Content) -> str | None:
    """The delimiter of a first line such as `sep=;`, which Excel writes and reads."""
    with content.lines("") as file:
        found = _SEPARATOR_LINE.fullmatch(file.readline(16).rstrip("\r\n"))
    return found[1] if found and found[1] not in '"\r\n' else None


def _field_counts(content: Content, delimiter: str) -> list[int]:
    """Fields of the header and of the rows below it, trailing blanks left out where the header is shorter."""
    counts: list[int] = []
    with content.lines("") as file, _unlimited():
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in islice(reader, _LOOKED_AT):
                if len(row) > 1 or "".join(row).strip():
                    counts.append(_count(row, counts[0] if counts else None))
        except csv.Error:
            pass  # what was read before decides; the error is reported when the file is read
    return counts


def _has_tabs(content: Content) -> bool:
    with content.lines() as file:
        return any("\t" in line for line in islice(file, _LOOKED_AT))


def _count(row: list[str], width: int | None) -> int:
    return width if width is not None and len(row) > width and not any(row[width:]) else len(row)


class _unlimited:  # noqa: N801
    """Lifts the csv module's limit of 128 KiB a field, which whole documents exceed."""

    def __enter__(self) -> None:
        self.before = csv.field_size_limit(_FIELD_LIMIT)

    def __exit__(self, *_: object) -> None:
        csv.field_size_limit(self.before)


def _table(
    content: Content, reading: ReadOptions, delimiter: str, *, quoted: bool, skip: int, notes: list[str]
) -> SourceTable:
    def rows() -> _NumberedRows:
        return _quoted_rows(content, delimiter, skip) if quoted else _plain_rows(content, delimiter, skip)

    mark = _word(delimiter)
    grid = Grid(
        where=str(content.path),
        name=content.path.name,
        rows=rows,
        remedy=f" Quote fields that contain a {mark}, or use jsonl.",
        delimiter=mark,
        notes=tuple(notes),
    )
    return grid_table(grid, reading)


def _quoted_rows(content: Content, delimiter: str, skip: int = 0) -> _NumberedRows:
    before = skip
    with content.lines("") as file, _unlimited():
        for _ in range(skip):
            file.readline()
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if len(row) > 1 or (row and row[0].strip()):
                    yield before + 1, reader.line_num + skip, row
                before = reader.line_num + skip
        except csv.Error as error:
            raise InputError(_quote_message(content, delimiter, before, reader.line_num + skip, error)) from error


def _quote_message(content: Content, delimiter: str, before: int, last: int, error: csv.Error) -> str:
    """What is wrong with the quotes of the row after line `before`, at the line where the quote opens."""
    with content.lines("") as file:
        text = "".join(islice(file, before, last))
    position = _open_quote(text, delimiter)
    if position is None:
        return f"{content.path}, line {before + 1}: {error}. {_ADVICE}"
    line = before + 1 + len(re.findall(r"\r\n|\r|\n", text[:position]))
    if "unexpected end" in str(error):
        return f"{content.path}, line {line}: a quote opens here and is never closed. {_ADVICE}"
    where = "in the same line" if last == line else f"in line {last}"
    return f"{content.path}, line {line}: a quote opens here, and text follows where it closes {where}. {_ADVICE}"


def _open_quote(text: str, delimiter: str) -> int | None:
    """The place of the quote that opens the last quoted field, or the first that is not closed before a delimiter
    or a line's end."""
    start, opened = 0, None
    while start < len(text):
        if text[start] == '"':
            opened = start
            found = _QUOTED.match(text, start)
            if found is None or (found.end() < len(text) and text[found.end()] not in f"{delimiter}\r\n"):
                return opened
            start = found.end()
        end = text.find(delimiter, start)
        if end < 0:
            return opened
        start = end + 1
    return opened


def _plain_rows(content: Content, delimiter: str, skip: int = 0) -> _NumberedRows:
    with content.lines(content.line_end()) as file:
        for line, text in enumerate(file, start=1):
            stripped = text.rstrip("\r\n")
            if line > skip and (stripped if delimiter in stripped else stripped.strip()):
                yield line, line, stripped.split(delimiter)


def _plain_tabs(content: Content, skip: int) -> tuple[int | None, bool]:
    """The first line that, split at tabs, has another number of fields than the first, if any; whether all fields
    that start with a quote are quoted, and there are some."""
    width, ragged, quoted, well_formed = 0, None, 0, True
    for line, _, row in _plain_rows(content, "\t", skip):
        width = width or len(row)
        if ragged is None and _count(row, width) != width:
            ragged = line
        starting = [field for field in row if field.startswith('"')]
        quoted += len(starting)
        well_formed = well_formed and all(_QUOTED.fullmatch(field) for field in starting)
    return ragged, well_formed and quoted > 0


def _is_quoted(content: Content, skip: int, ragged: int) -> bool:
    """Whether a file whose lines do not fit is one with quoted fields: all of its rows fit then, or one over several
    lines does before the first that does not, or a quote opens in the first line that does not fit and never closes."""
    width, last, spanning = 0, skip, False
    try:
        for start, end, row in _quoted_rows(content, "\t", skip):
            width = width or len(row)
            if _count(row, width) != width:
                return spanning
            spanning = spanning or end > start
            last = end
    except InputError:
        return spanning or last + 1 == ragged
    return True
