"""A prefix's finished file and the note beside it: read where they are sound, written so that they are whole."""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 1 << 24


def stored_prefix(
    path: Path, shape: tuple[int, int], dtype: np.dtype[Any], with_peak: bool
) -> tuple[np.ndarray, dict[str, Any]] | None:
    """The values and their note from a sound file; None where it is missing, cut short, altered or says too little."""
    try:
        note = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        if path.stat().st_size != note["bytes"] or checksum(path) != note["crc32"]:
            return None
        if with_peak and note["peak_memory_bytes"] is None:
            return None
        values = np.load(path, mmap_mode="r", allow_pickle=False)
        note = {"seconds": float(note["seconds"]), "peak_memory_bytes": note["peak_memory_bytes"]}
        if not isinstance(note["peak_memory_bytes"], int | None):
            return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, EOFError):
        return None
    with suppress(OSError):  # a folder that others keep may be read all the same
        os.utime(path)
    if values.shape != shape or values.dtype != dtype:
        return None
    return values, note


def write_note(path: Path, note: dict[str, Any]) -> None:
    """Writes what is known of a prefix beside it, by rename."""
    unfinished = path.with_suffix(f".{os.getpid()}.note.tmp")
    try:
        unfinished.write_text(json.dumps(note), encoding="utf-8")
        unfinished.replace(path.with_suffix(".json"))
    finally:
        unfinished.unlink(missing_ok=True)


def checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            value = zlib.crc32(block, value)
    return value
