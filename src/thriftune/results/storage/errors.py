"""What goes wrong where files are written, in words: a full disk, a quota, a folder that may not be written to."""

from __future__ import annotations

import errno
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from thriftune.errors import InputError
from thriftune.results.storage.temporary import is_temporary
from thriftune.wording import size

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)
AGAIN = "and run the same command again: what is done is kept"
FREE_SOME = f"Free some space (or give another --out) {AGAIN}."
ALLOW = f"Give this user the right to write there (or give another --out) {AGAIN}."


class UnwritableError(InputError, OSError):
    """A file cannot be written, as for want of space or permission; the message says what, where and why."""

    def __init__(self, message: str, number: int | None = None) -> None:
        InputError.__init__(self, message)
        self.errno = number

    def __str__(self) -> str:
        return str(self.args[0])


def unwritable(error: BaseException, path: Path, needed: int | None = None) -> str | None:
    """What a user is told where an error says that the disk or its permissions took no file; None for other errors.

    `path` is what was to be written, or a folder that it lies in; `needed` is about how many bytes. Libraries that
    write files themselves have errors of their own, which quote the system's.
    """
    if isinstance(error, UnwritableError):
        return str(error)
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (quoted := re.search(r"\(os error (\d+)\)", str(error))) is not None:
        number = int(quoted[1])
    if number not in (*FULL, *FORBIDDEN):
        return None
    named = getattr(error, "filename", None)
    where = Path(os.fsdecode(named)) if isinstance(named, str | bytes) else path
    if is_temporary(where):
        where = path
    if number in FORBIDDEN:
        if path not in (where, *where.parents):
            return None  # of something that was read
        return f"{where} cannot be written: {os.strerror(number).lower()}. {ALLOW}"
    return f"{where} cannot be written: {os.strerror(number).lower()}{_room(where, needed)}. {FREE_SOME}"


def _room(path: Path, needed: int | None) -> str:
    """(1.2 MB needed, 0 B free on /data)."""
    folder = next((each for each in (path, *path.parents) if each.is_dir()), None)
    parts = [] if needed is None else [f"about {size(needed)} needed"]
    with suppress(OSError):
        if folder is not None:
            mount = next(each for each in (folder.resolve(), *folder.resolve().parents) if os.path.ismount(each))
            parts.append(f"{size(shutil.disk_usage(folder).free)} free on {mount}")
    return f" ({', '.join(parts)})" if parts else ""
