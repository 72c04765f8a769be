"""Checkpoints on disk: numbered folders whose files are hashed, written beside and renamed when they are whole.

`checkpoint/000012/` holds `manifest.json`, which says whose it is and hashes the other files and itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thriftune.results.files import DamagedError, delete, flush, sha256

FORMAT = 1
MANIFEST = "manifest.json"
KEPT = 2
"""Checkpoints that are kept: where the last one is damaged, the one before it serves."""
NUMBER = re.compile(r"\d{6,}")
UNFINISHED = ".writing-"


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself."""

    path: Path
    number: int
    run_id: str
    steps: int
    """Optimiser steps of the training under way that are done."""
    most_steps: int
    """No more than these are done in it."""
    written: float
    """When, in seconds since 1970."""
    trained_steps: int
    """Of all the run's trainings, those of a search for a learning rate too."""
    trained_seconds: float
    """That these took."""
    identity: Mapping[str, Any]
    """What must be equal where it is to be used; the run's id is part of it."""


def found(folder: Path) -> CheckpointInfo | None:
    """The newest checkpoint of a run's `checkpoint/` folder (or of the run's folder itself); None where none is whole.

    Quick: sizes are looked at, and the manifest's own hash; `checked` reads every byte.
    """
    inside = folder / "checkpoint"
    for path in reversed(numbered(inside if inside.is_dir() else folder)):
        try:
            return info_of(path)
        except DamagedError:
            continue
    return None


def numbered(folder: Path) -> list[Path]:
    """The checkpoints of a folder, oldest first."""
    try:
        entries = [path for path in folder.iterdir() if NUMBER.fullmatch(path.name) and path.is_dir()]
    except OSError:
        return []
    return sorted(entries, key=lambda path: int(path.name))


def info_of(path: Path) -> CheckpointInfo:
    """What a checkpoint says of itself; raises `DamagedError` where it or a file's size is not what was written."""
    manifest = _manifest(path)
    for name, about in manifest["files"].items():
        _check_size(path / name, about["bytes"])
    return _info(path, manifest)


def checked(path: Path) -> CheckpointInfo:
    """The same after every file was read and hashed."""
    info, manifest = info_of(path), _manifest(path)
    for name, about in manifest["files"].items():
        try:
            same = sha256(path / name) == about["sha256"]
        except OSError as error:
            raise DamagedError(path / name, f"it cannot be read ({error.strerror})") from error
        if not same:
            raise DamagedError(path / name, "its checksum is not that of the file that was written")
    return info


def begin(folder: Path) -> Path:
    """An empty folder for the next checkpoint, which is none before `finish` renames it; unfinished ones go."""
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    last = numbered(folder)
    path = folder / f"{UNFINISHED}{int(last[-1].name) + 1 if last else 1:06d}"
    path.mkdir()
    return path


def finish(unfinished: Path, about: Mapping[str, Any], hashes: Mapping[str, str]) -> Path:
    """Brings a checkpoint's files to the disk, writes its manifest, renames it, and deletes all but the last two.

    `about` has the fields of `CheckpointInfo` but path and number; `hashes` are those of files that are known already.
    """
    files = {}
    for path in sorted(unfinished.iterdir()):
        flush(path)
        files[path.name] = {"bytes": path.stat().st_size, "sha256": hashes.get(path.name) or sha256(path)}
    manifest = {"format": FORMAT, **about, "files": files}
    manifest["sha256"] = _own_hash(manifest)
    (unfinished / MANIFEST).write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    flush(unfinished / MANIFEST)
    flush(unfinished)
    path = unfinished.with_name(unfinished.name.removeprefix(UNFINISHED))
    unfinished.rename(path)
    flush(path.parent)
    for old in numbered(path.parent)[:-KEPT]:
        delete(old)
    return path


def sweep(folder: Path) -> None:
    """Deletes what a process left that was killed while it wrote."""
    for path in list(folder.glob(f"{UNFINISHED}*")):
        delete(path)


def link(source: Path, target: Path, apart: Path | None = None) -> None:
    """Gives a file a second name, or copies it: where the file system has no such thing, or it is `apart` already.

    So damage to the file of one checkpoint is none of the other's. Neither name's content changes when another file is
    renamed to the other one.
    """
    target.unlink(missing_ok=True)
    try:
        if apart is not None and apart.exists() and apart.samefile(source):
            shutil.copyfile(source, target)
        else:
            os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        data = json.loads(file.read_bytes())
        own = data.pop("sha256")
        if own != _own_hash(data) or not isinstance(data["files"], dict):
            raise ValueError
    except OSError as error:
        raise DamagedError(file, f"it cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(file, "it is not what was written there") from error
    if data["format"] != FORMAT:
        raise DamagedError(file, f"another release wrote it (format {data['format']})")
    return dict(data)


def _own_hash(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _info(path: Path, manifest: Mapping[str, Any]) -> CheckpointInfo:
    return CheckpointInfo(
        path=path,
        number=int(path.name),
        run_id=str(manifest["identity"]["run_id"]),
        steps=manifest["steps"],
        most_steps=manifest["most_steps"],
        written=manifest["written"],
        trained_steps=manifest["trained_steps"],
        trained_seconds=manifest["trained_seconds"],
        identity=manifest["identity"],
    )


def _check_size(path: Path, size: int) -> None:
    try:
        there = path.stat().st_size
    except OSError as error:
        raise DamagedError(path, "it is missing") from error
    if there != size:
        raise DamagedError(path, f"it has {there:,} bytes, {size:,} were written")
