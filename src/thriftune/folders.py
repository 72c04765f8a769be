"""Where things lie that outlive a study."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """THRIFTUNE_CACHE, or thriftune in the user's cache folder; may not exist yet."""
    named = os.environ.get("THRIFTUNE_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else home / "thriftune"
