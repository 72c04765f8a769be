"""Text files are UTF-8, and a wrong byte is reported with its place."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from thriftune.errors import InputError


@contextmanager
def opened(path: Path, newline: str = "\n") -> Iterator[IO[str]]:
    """The file as text, a byte order mark skipped; raises `InputError` at the first byte that is not UTF-8."""
    with path.open(encoding="utf-8-sig", newline=newline) as file:
        try:
            yield file
        except UnicodeDecodeError as error:
            raise InputError(_encoding_message(path)) from error


def _encoding_message(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    position, line = 0, 1
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                position += error.start - pending
                line += chunk.count(b"\n", 0, max(error.start - pending, 0))
                break
            position += len(chunk)
            line += chunk.count(b"\n")
    remedy = "Save the file as UTF-8 (in a spreadsheet: CSV UTF-8)."
    return f"{path} is not UTF-8: byte {position} (line {line}) cannot be read. {remedy}"
