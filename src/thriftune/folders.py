"""Where things lie that outlive a study."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """THRIFTUNE_CACHE, or thriftune in the user's cache folder; may not exist yet.

    A relative XDG_CACHE_HOME is ignored, as its specification asks. Without a home folder it lies below the system's
    folder for temporary files.
    """
    named = os.environ.get("THRIFTUNE_CACHE")
    if named:
        return Path(named).absolute()
    given = Path(os.environ.get("XDG_CACHE_HOME") or "")
    if given.is_absolute():
        return given / "thriftune"
    try:
        return Path.home() / ".cache" / "thriftune"
    except RuntimeError:
        user = os.getuid() if hasattr(os, "getuid") else "user"
        return Path(tempfile.gettempdir()) / f"thriftune-{user}"


def is_private(path: Path) -> bool:
    """Whether a file or folder (no symbolic link) is this user's own and nobody else may write to it."""
    if not hasattr(os, "geteuid"):
        return True  # Windows: a user's folders are the user's own
    try:
        about = path.lstat()
    except OSError:
        return False
    return about.st_uid == os.geteuid() and not stat.S_ISLNK(about.st_mode) and not about.st_mode & 0o022
