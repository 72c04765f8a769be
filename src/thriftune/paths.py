"""Paths that users name: taken literally, and looked at before anything opens them.

Opening a pipe waits for a writer, reading a device may never end, and a path that no file system takes raises what
the caller does not expect; all of these are answered here.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path

from thriftune.errors import InputError, shortened

LONGEST_PART = 255
"""Bytes of one name, on every common file system."""
LONGEST_PATH = 4095
_KINDS = {
    stat.S_IFREG: "a file",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def user_path(text: str) -> Path:
    """The path that a text names, with `~` and `~USER` expanded; it need not exist.

    Raises `InputError` for a text that is blank or names what no file system can hold, and for an unknown user.
    """
    shown = shortened(text)
    if not text.strip():
        raise InputError("The path is blank. Give the name of a file or folder.")
    if "\0" in text:
        raise InputError(f"{shown} is no path: it holds a NUL character.")
    longest = max(len(os.fsencode(part)) for part in text.split("/"))
    if longest > LONGEST_PART or len(os.fsencode(text)) > LONGEST_PATH:
        size = f"a name of {longest:,} bytes" if longest > LONGEST_PART else f"{len(os.fsencode(text)):,} bytes"
        raise InputError(
            f"{shown} is no path: it has {size}; a name has at most {LONGEST_PART}, a whole path {LONGEST_PATH:,}."
        )
    try:
        return Path(text).expanduser()
    except RuntimeError:
        user = text.split("/", 1)[0]
        raise InputError(
            f'{shown}: there is no user "{user[1:]}" here. Give the path without ~, or ./{user}.'
        ) from None


def status(path: Path) -> os.stat_result | None:
    """What is at a path, links followed; None where nothing is.

    Raises `InputError` where it cannot be found out: no permission, a link that leads to itself, a name too long.
    """
    try:
        return path.stat()
    except ValueError as error:
        raise InputError(f"{path} is no path: {error}.") from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise InputError(f"{path} cannot be looked at: {error.strerror}.") from None


def check_file(path: Path, what: str) -> None:
    """Raises `InputError` unless the path is an ordinary file (or a link to one); `what` names what is wanted."""
    found = status(path)
    if found is None:
        raise InputError(f"{path} is {missing(path)}. Give {what}.")
    if stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is a folder. Give {what}.")
    if not stat.S_ISREG(found.st_mode):
        raise InputError(f"{path} is {kind(found)}, not a file. Give {what}.")
    check_readable(path)


def check_readable(path: Path) -> None:
    """Raises `InputError` for a file or folder that this user may not read."""
    wanted = os.R_OK | os.X_OK if path.is_dir() else os.R_OK
    if not os.access(path, wanted):
        raise InputError(f"{path} cannot be read: you have no permission. Change it (chmod u+r), or give another.")


def names_in(folder: Path) -> list[str]:
    """What a folder holds, for suggestions; empty where it cannot be listed."""
    try:
        return [entry.name for entry in folder.iterdir()]
    except OSError:
        return []


def check_folder(path: Path, what: str) -> None:
    """Raises `InputError` unless the path is a folder that can be listed; `what` names what is wanted."""
    found = status(user_path(str(path)))
    if found is None:
        raise InputError(f"{path} is {missing(path)}. Give {what}.")
    if not stat.S_ISDIR(found.st_mode):
        raise InputError(f"{path} is {kind(found)}, not a folder. Give {what}.")
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise InputError(f"The folder {path} cannot be read ({error.strerror}). Give {what}.") from error


def check_new_folder(out: Path) -> None:
    """Raises `InputError` where no folder is and none can be: below a file, a link to nothing, a name too long."""
    user_path(str(out))
    try:
        str(out).encode()
    except UnicodeEncodeError:
        raise InputError(f"{out} is not UTF-8, which libraries that write there need. Give another --out.") from None
    for path in (out, *out.parents):
        found = status(path)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            raise InputError(f"{_blocked(out, path)}{path} is {kind(found)}; --out needs a folder.")
        if found is None and path.is_symlink():
            raise InputError(f"{_blocked(out, path)}{path} is {missing(path)}; --out needs a folder.")
    if status(out) is not None:
        check_folder(out, "another --out")


def _blocked(out: Path, by: Path) -> str:
    return "" if by == out else f"{out} cannot be written to: "


def check_new_file(out: Path) -> None:
    """Raises `InputError` where a file exists, or where none can be written."""
    if status(user_path(str(out))) is not None or out.is_symlink():
        raise InputError(f"{out} exists already; name another file with --out, or remove it.")
    check_new_folder(out.parent)
    above = next(path for path in out.absolute().parents if path.is_dir())
    if not os.access(above, os.W_OK):
        raise InputError(f"{out} cannot be written: {above} takes no new files. Name another file with --out.")


def kind(found: os.stat_result) -> str:
    """What something is, in words."""
    return _KINDS.get(stat.S_IFMT(found.st_mode), "something special")


def is_ordinary(found: os.stat_result) -> bool:
    """Whether it is a file or a folder."""
    return stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)


def missing(path: Path) -> str:
    """Why there is nothing at a path: not there, or a link to what is not there."""
    return f"a link to {path.readlink()}, which is not there" if path.is_symlink() else "not there"


def slug(text: str) -> str:
    """A study's name as part of a file name, whatever it holds and however long it is."""
    kept = re.sub(r"[^\w.-]+", "-", text).encode("utf-8", "ignore")[:100].decode("utf-8", "ignore")
    return kept.strip("-.") or "study"


def source_name(source: str) -> str:
    """What the study of a data source is called, and its files: a of a.csv.gz, owner-name of hub:owner/name."""
    return slug(Path(os.path.abspath(source.replace(":", "-").replace("\0", "-"))).name.split(".")[0])


def results_folder(name: str) -> Path:
    """Where the results of a study go that were given no folder."""
    return Path(f"results-{slug(name)}")


_NAMED: dict[Path, str] = {}


def stands_for(folder: Path, name: str) -> None:
    """Has a folder be called what its user called it: it is a copy of one elsewhere."""
    _NAMED[folder.absolute()] = _NAMED[folder.resolve()] = name


def named(path: Path) -> str:
    """What a user calls a folder or file: the URL where it lies in a copy of a folder elsewhere, else the path."""
    whole = path.absolute()
    for above in (whole, *whole.parents) if _NAMED else ():
        if above in _NAMED:
            rest = whole.relative_to(above).as_posix()
            return _NAMED[above] if rest == "." else f"{_NAMED[above]}/{rest}"
    return str(path)
