"""What the folders of a study's runs are called: readable, safe on every file system, found by the run's id."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

SHORT = 8
"""Digits of a run's id in its folder's name."""
LONGEST_SLUG = 60
"""Letters of a run's name in its folder's."""


class RunFolders:
    """`OUT/runs`: which folder is which run's.

    Folders of earlier releases are called by the whole id, and are found too.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._known: dict[str, Path] = {}

    def path_of(self, run_id: str) -> Path | None:
        """The folder that is there for a run; None where none is."""
        known = self._known.get(run_id)
        if known is not None and known.exists():
            return known
        whole = self.root / run_id
        found = whole if _is_there(whole) else self._named(run_id)
        if found is not None:
            self._known[run_id] = found
        return found

    def path(self, run_id: str, cell: str | None, seed: int) -> Path:
        """The same; where none is there, the one that it is to have."""
        found = self.path_of(run_id)
        if found is not None:
            return found
        if cell is None:
            return self.root / run_id
        new = self.root / folder_name(cell, seed, run_id)
        return self.root / folder_name(cell, seed, run_id, short=len(run_id)) if _is_there(new) else new

    def _named(self, run_id: str) -> Path | None:
        """The folder whose name ends in the id, or in its beginning and is no other run's."""
        if not self.root.is_dir():
            return None
        endings = (f"-{run_id}", f"-{run_id[:SHORT]}")
        found = sorted(each for each in self.root.iterdir() if each.name.endswith(endings))
        owners = {each: _owner(each) for each in found}
        exact = [each for each in found if owners[each] == run_id]
        return next(iter(exact), None) or next((each for each in found if owners[each] is None), None)


def folder_name(cell: str, seed: int, run_id: str, short: int = SHORT) -> str:
    """`lora-r8-all-seed0-1a2b3c4d`: lower-case letters, digits and hyphens, at most 100 of them."""
    return f"{slug(cell)}-seed{seed}-{run_id[:short]}"


def slug(text: str) -> str:
    """A name as part of a path on any file system: ASCII letters, digits and single hyphens; never empty."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_SLUG].rstrip("-") or "run"


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()


def _owner(folder: Path) -> str | None:
    """The id in a folder's run.json; None where none can be read."""
    try:
        found = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    owner = found.get("run_id") if isinstance(found, dict) else None
    return owner if isinstance(owner, str) else None
