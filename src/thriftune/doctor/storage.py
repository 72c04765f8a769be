"""Folders that are written to: the caches with their sizes, the one for temporary files, the present one."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from thriftune.doctor.finding import Finding
from thriftune.folders import cache_folder
from thriftune.wording import plural, size

ROOM = 1e9
"""Free bytes below which a study's folders may not fit."""
PATIENCE = 0.7
"""Seconds that adding up a folder's files may take."""
OLD = 3600.0
"""Seconds after which a temporary folder belongs to a command that ended without removing it."""


def caches() -> Iterator[Finding]:
    """Thriftune's cache folder, part by part, and the hub's."""
    from huggingface_hub.constants import HF_HUB_CACHE

    ours = cache_folder()
    parts = {
        "prefixes": "frozen layers' outputs",
        "compiled": "kernels",
        "onnx": "ONNX graphs",
        "machines": "this machine's speeds",
    }
    held = [f"{what} {_sized(ours / name)}" for name, what in parts.items() if (ours / name).is_dir()]
    above = next(each for each in (ours, *ours.parents) if each.exists())
    problem = _unwritable(above)
    if problem:
        remedy = (
            "name a writable folder in THRIFTUNE_CACHE: without one frozen layers and kernels are made anew each time"
        )
        yield Finding("Cache", f"{ours}: {problem}", "note", remedy)
    else:
        text = f"{ours}: {', '.join(held) or 'empty'}; {size(shutil.disk_usage(above).free)} free there"
        yield Finding("Cache", f"{text}; `thriftune cache --clear` empties it" if held else text)
    hub = Path(HF_HUB_CACHE)
    if hub.is_dir():
        yield Finding("Models from the hub", f"{hub}: {_sized(hub)}; `hf cache` lists and removes them")
    else:
        yield Finding("Models from the hub", f"{hub}: empty")


def folders() -> Iterator[Finding]:
    """Whether the present folder and the one for temporary files can be written to, and have room."""
    for subject, folder, remedy in (
        ("This folder", Path.cwd(), "go to a folder of yours, or name one with --out"),
        ("Temporary files", Path(tempfile.gettempdir()), "name a writable folder in TMPDIR"),
    ):
        free = shutil.disk_usage(folder).free
        if problem := _unwritable(folder):
            yield Finding(subject, f"{folder}: {problem}", "fails", remedy)
        elif free < ROOM:
            yield Finding(subject, f"{folder}: {size(free)} free", "note", "make room, or use another disk")
        else:
            yield Finding(subject, f"{folder}: {size(free)} free")
    if left := left_behind():
        text = f"{plural(len(left), 'folder')} of commands that were killed, such as {left[0]}"
        yield Finding("Left behind", text, "note", "delete them while no study runs")


def left_behind() -> list[Path]:
    """Old temporary folders of Thriftune."""
    now = time.time()
    return sorted(
        path
        for path in Path(tempfile.gettempdir()).glob("thriftune-*")
        if path.is_dir() and not path.is_symlink() and now - path.stat().st_mtime > OLD
    )


def folder_bytes(folder: Path, patience: float = PATIENCE) -> tuple[int, bool]:
    """Bytes of the files below a folder, each link not followed; and whether all were counted in so many seconds."""
    total, waiting, end = 0, [folder], time.monotonic() + patience
    while waiting:
        if time.monotonic() > end:
            return total, False
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except FileNotFoundError:  # deleted meanwhile
            continue
    return total, True


def _sized(folder: Path) -> str:
    total, whole = folder_bytes(folder)
    return size(total) if whole else f"more than {size(total)}"


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be written into what should be a folder; None where it can."""
    if not folder.is_dir():
        return f"{folder} is no folder"
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
    except OSError as error:
        return f"cannot be written to ({error.strerror})"
    return None
