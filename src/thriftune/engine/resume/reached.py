"""How far a run's trainings got, written down after every step: what a kill costs is then known."""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

NAME = "reached"
LAYOUT = struct.Struct("<qdqd")
PWRITE = getattr(os, "pwrite", None)
"""Windows has none."""


@dataclass(frozen=True)
class Reached:
    """Sums over all trainings of a run, whether or not a checkpoint has them."""

    steps: int = 0
    seconds: float = 0.0
    """Of these steps."""
    resumed: int = 0
    """How often the run went on from a checkpoint."""
    uncounted: float = 0.0
    """Seconds of work that were done again for it, or were lost: no cost has them."""


class ReachedFile:
    """32 bytes in a run's `checkpoint/`, which outlive the process but not the power; none where they cannot be."""

    def __init__(self, folder: Path) -> None:
        self._handle: int | None = None
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)

    def write(self, reached: Reached) -> None:
        """Replaces what stands there, in microseconds."""
        if self._handle is None:
            return
        try:
            line = LAYOUT.pack(reached.steps, reached.seconds, reached.resumed, reached.uncounted)
            if PWRITE is not None:
                PWRITE(self._handle, line, 0)
            else:
                os.lseek(self._handle, 0, os.SEEK_SET)
                os.write(self._handle, line)
        except OSError:
            self.close()

    def close(self) -> None:
        """Writes no more."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def read_reached(folder: Path) -> Reached | None:
    """What stands there; None where nothing does."""
    try:
        return Reached(*LAYOUT.unpack((folder / NAME).read_bytes()))
    except (OSError, struct.error):
        return None
