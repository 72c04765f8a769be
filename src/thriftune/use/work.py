"""Output under way: a folder beside it that a killed run leaves and the same command goes on from.

The folder holds the rows that are done and a journal that says how many there are. What is written after the journal's
last line is cut off when it goes on. The output appears by a rename, so it is whole wherever it exists.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thriftune.errors import InputError
from thriftune.results.files import flush

LONGEST_NAME = 200


class Work:
    """The unfinished output of one command, which alone may write to it while it is open."""

    def __init__(self, out: Path) -> None:
        from filelock import FileLock, Timeout

        self.out = out
        self.folder = out.with_name(f".{out.name[:LONGEST_NAME]}.predict")
        self.part = self.folder / "part"
        self.journal = self.folder / "journal.jsonl"
        self.folder.mkdir(exist_ok=True)
        self._lock = FileLock(self.folder / "lock", timeout=0)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(f"Another process is writing {out}. Wait for it, or name another --out.") from None

    def resume(self, fingerprint: dict[str, Any]) -> dict[str, Any] | None:
        """The last note of work with that fingerprint, with the rows up to it kept; else None, and all is new."""
        lines = self._journal()
        known = len(lines) > 1 and lines[0] == {"fingerprint": fingerprint} and self.part.is_file()
        if known and self.part.stat().st_size >= lines[-1]["bytes"]:
            os.truncate(self.part, lines[-1]["bytes"])
            self._write(self.journal, "".join(json.dumps(line) + "\n" for line in lines).encode(), "wb")
            return dict(lines[-1])
        self.part.unlink(missing_ok=True)
        self._write(self.journal, (json.dumps({"fingerprint": fingerprint}) + "\n").encode(), "wb")
        return None

    def drop_unbegun(self) -> None:
        """Removes the folder where no row was done."""
        if self.folder.is_dir() and len(self._journal()) < 3:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _journal(self) -> list[dict[str, Any]]:
        """The whole lines of the journal."""
        if not self.journal.is_file():
            return []
        found = []
        for line in self.journal.read_bytes().split(b"\n")[:-1]:
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

    def add(self, data: bytes, note: dict[str, Any]) -> None:
        """Appends to the rows that are done, and then says so; both are on the disk when this returns."""
        self._write(self.part, data, "ab")
        line = {**note, "bytes": self.part.stat().st_size}
        self._write(self.journal, (json.dumps(line) + "\n").encode(), "ab")

    def _write(self, path: Path, data: bytes, mode: str) -> None:
        try:
            with path.open(mode) as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(f"{path} cannot be written ({error.strerror}). What is done is kept.") from error

    def finish(self, convert: Callable[[Path, Path], None] | None = None) -> None:
        """Gives the output its name, and removes what was beside it; `convert` makes it of the rows first."""
        whole = self.part
        if convert is not None:
            whole = self.folder / "whole"
            try:
                convert(self.part, whole)
            except OSError as error:
                raise InputError(f"{whole} cannot be written ({error}). What is done is kept.") from error
            flush(whole)
        whole.replace(self.out)
        flush(self.out.parent)
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Lets another command have it."""
        self._lock.release()
