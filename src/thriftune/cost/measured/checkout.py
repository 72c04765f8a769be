"""Which state of its source this package runs from."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[4]
"""Of a checkout: what holds src/thriftune."""


@cache
def checkout(root: Path = ROOT) -> dict[str, Any]:
    """`commit` of the git checkout that this package runs from, and `dirty`: whether src/ differs from it.

    Both are None where it runs from none (it was installed), or git is not here to say.
    """
    commit = _git(root, "rev-parse", "HEAD") if (root / ".git").exists() else None
    changes = _git(root, "status", "--porcelain", "--", "src") if commit else None
    return {"commit": commit, "dirty": None if changes is None else bool(changes)}


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails, or there is none."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
