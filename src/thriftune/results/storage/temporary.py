"""Names of files that are being written, and what writers that died have left of them."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
from contextlib import suppress
from pathlib import Path

from thriftune.endings import is_there

_TEMPORARY = re.compile(r"\..*\.([0-9a-f]{8})-([0-9]+)-[^.]*\.tmp")


def temporary_beside(path: Path) -> Path:
    """A new empty file beside a path that this process fills and renames; `sweep` finds it where the process dies."""
    handle, name = tempfile.mkstemp(
        prefix=f".{path.name[:100]}.{_host()}-{os.getpid()}-", suffix=".tmp", dir=path.parent
    )
    os.close(handle)
    return Path(name)


def sweep(folder: Path) -> list[Path]:
    """Deletes the temporary files below a folder whose processes are gone, of this machine alone; returns them."""
    gone = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not (Path(parent) / name).is_symlink()]
        for name in files:
            found = _TEMPORARY.fullmatch(name)
            if found is not None and found[1] == _host() and not is_there(int(found[2])):
                with suppress(OSError):
                    (Path(parent) / name).unlink()
                    gone.append(Path(parent) / name)
    return gone


def is_temporary(path: Path) -> bool:
    """Whether a path is one that `temporary_beside` makes."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _host() -> str:
    """Eight hexadecimal digits for this machine: process numbers say nothing of others that share a folder."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
