"""What a sentence-transformers folder says of pooling: which of the last hidden states make a text's vector."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

MOST_BYTES = 2**20
"""Of the two small files; what is larger is something else."""
FLAGS = "pooling_mode_"
"""How the keys of 1_Pooling/config.json begin that are true for each pooling in use."""
READS: dict[str, Literal["mean", "first"]] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "first",
    "cls_token": "first",
}


@dataclass(frozen=True)
class Pooling:
    """How sentence-transformers turns the last hidden states of a model into one vector per text."""

    read: Literal["mean", "first"] | None
    """The mean of all tokens or the first token; None for a pooling not known here (max, last token, several)."""
    normalised: bool
    """Whether the vector is scaled to length 1 afterwards."""
    further: tuple[str, ...] = ()
    """Other modules that follow, for example "Dense"; Thriftune leaves them out."""


def pooled_by(folder: Path) -> Literal["mean", "first"] | None:
    """Which hidden states a model was trained to be pooled from, as its sentence-transformers files say.

    None where there are no such files, where they are damaged, and for a pooling that Thriftune has not.
    """
    found = pooling_of(folder)
    return None if found is None else found.read


def pooling_of(folder: Path) -> Pooling | None:
    """All that a model's folder says of pooling; None where it is no sentence-transformers folder, or damaged.

    Reads modules.json, in the folder or, where the encoder has a subfolder of its own, beside that, and the pooling
    module's config.json. Runs no code.
    """
    for root in (folder, folder.parent):
        listed = _modules(root / "modules.json")
        if listed and (root / listed[0][1]).resolve() == folder.resolve():
            return _pooling(root, listed)
    return None


def _pooling(root: Path, listed: list[tuple[str, str]]) -> Pooling | None:
    kinds = [kind for kind, _ in listed]
    if kinds.count("Pooling") != 1:
        return None
    at = kinds.index("Pooling")
    config = _json(root / listed[at][1] / "config.json")
    if not isinstance(config, dict):
        return None
    modes = _modes(config)
    if modes is None:
        return None
    after = kinds[at + 1 :]
    between = kinds[1:at]  # word weights and the like change what is pooled
    read = READS.get(modes[0]) if len(modes) == 1 and not between else None
    return Pooling(read, "Normalize" in after, tuple(kind for kind in (*between, *after) if kind != "Normalize"))


def _modes(config: dict[str, Any]) -> list[str] | None:
    """The poolings in use, by name; None where the file does not say."""
    named = config.get("pooling_mode")
    if isinstance(named, str):
        return [named.lower()]
    if isinstance(named, list) and all(isinstance(mode, str) for mode in named):
        return [mode.lower() for mode in named]
    flags = {key: value for key, value in config.items() if key.startswith(FLAGS)}
    if not flags or not all(isinstance(value, bool) for value in flags.values()):
        return None
    return [key.removeprefix(FLAGS) for key, value in flags.items() if value]


def _modules(path: Path) -> list[tuple[str, str]]:
    """Class name and subfolder of each module, in order; none where the file is not there or damaged."""
    listed = _json(path)
    if not isinstance(listed, list):
        return []
    found = []
    for module in listed:
        if not isinstance(module, dict):
            return []
        kind, below = module.get("type"), module.get("path")
        if not isinstance(kind, str) or not isinstance(below, str) or not inside(below):
            return []
        found.append((kind.rpartition(".")[2], below))
    return found


def inside(below: str) -> bool:
    """Whether a subfolder's path stays inside the folder."""
    parts = PurePosixPath(below.replace("\\", "/"))
    return not parts.is_absolute() and ".." not in parts.parts and ":" not in below and "\0" not in below


def _json(path: Path) -> Any:
    """What a small JSON file holds; None where it is not there, is no file, is too large or is not JSON."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
