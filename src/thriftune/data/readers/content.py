"""A text file as the readers see it: unpacked, its encoding known."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO

from thriftune.data.readers.compressed import ENDINGS
from thriftune.data.readers.encoding import find_encoding, wrong_byte
from thriftune.errors import InputError


@dataclass(frozen=True)
class Content:
    """Text that can be read again and again."""

    path: Path
    name: str
    """The file's name, or that of the file packed in it."""
    codec: str
    notes: tuple[str, ...] = ()
    """How it was unpacked and decoded, where that was guessed."""
    data: bytes | None = None
    """The unpacked bytes; None where the file itself is read."""

    @property
    def ending(self) -> str:
        """The ending of what the file holds, in small letters: .csv of a.CSV and of a.csv.gz."""
        return PurePath(self.name).suffix.lower()

    def opened(self) -> IO[bytes]:
        """The bytes from their start."""
        return self.path.open("rb") if self.data is None else io.BytesIO(self.data)

    def line_end(self) -> str:
        r"""A line feed, or a carriage return where the file has no line feed at all."""
        with self.lines("") as file:
            start = file.read(1 << 16)
            if "\n" in start or "\r" not in start:
                return "\n"
            return "\n" if any("\n" in part for part in iter(lambda: file.read(1 << 20), "")) else "\r"

    @contextmanager
    def lines(self, newline: str = "\n") -> Iterator[IO[str]]:
        """The text, a byte order mark skipped; `newline` as for `open`.

        Raises `InputError` at the first byte that does not fit the encoding.
        """
        with io.TextIOWrapper(self.opened(), encoding=self.codec, newline=newline) as file:
            try:
                yield file
            except UnicodeDecodeError as error:
                raise wrong_byte(self.opened, self.codec, str(self.path)) from error
            except UnicodeError as error:  # UTF-16 without its byte order mark, and the like
                raise InputError(f"{self.path} cannot be read as {self.codec}: {error}. Set data.encoding.") from error


def text_content(path: Path, name: str, data: bytes | None, encoding: str) -> Content:
    """The content of a text file, or of `data` unpacked from it under `name`; `encoding` may be auto.

    Raises `InputError` where the bytes are no text.
    """
    hidden = data is not None and path.suffix.lower() not in ENDINGS
    notes = [f"{path.name} is compressed, which its name does not say; it is unpacked."] if hidden else []
    content = Content(path=path, name=name, codec="utf-8", data=data)
    if encoding == "auto":
        found = find_encoding(content.opened, str(path))
        codec = found.codec
        if found.guessed:
            notes.append(f"{path.name} is read as {codec}, as its bytes suggest; data.encoding overrules.")
    else:
        codec = "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding
    return Content(path=path, name=name, codec=codec, notes=tuple(notes), data=data)
