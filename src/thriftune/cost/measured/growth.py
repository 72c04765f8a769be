"""How far the resident memory of this process rises while something runs."""

from __future__ import annotations

import gc
import threading
from dataclasses import dataclass, field
from pathlib import Path

from thriftune.engine.allocator import give_back

NOT_TOLD = "the operating system does not tell how far a process's memory rose"
EVERY = 0.005
"""Seconds between looks where the system keeps no peak that can be reset."""
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")


@dataclass
class Growth:
    """Resident memory from `begin` to `end`: the peak less what the process held when it began.

    What earlier work freed is given back to the system first, so that it cannot be used again unseen. Linux keeps the
    peak, which is reset; where it cannot be (some containers), a thread looks every 5 milliseconds. On other systems
    nothing is told.
    """

    before: int | None = None
    reset: bool = False
    _peak: int = 0
    _done: threading.Event = field(default_factory=threading.Event)
    _watch: threading.Thread | None = None

    @classmethod
    def begin(cls) -> Growth:
        """Starts to watch."""
        gc.collect()
        give_back()
        found = cls(reset=_reset_peak())
        found.before = resident("VmRSS")
        if found.before is not None and not found.reset:
            found._watch = threading.Thread(target=found._look, daemon=True)
            found._watch.start()
        return found

    def end(self) -> int | None:
        """Bytes, 0 or more; None where they are not told. To be called once."""
        if self.before is None:
            return None
        self._note("VmHWM" if self.reset else "VmRSS")
        if self._watch is not None:
            self._done.set()
            self._watch.join()
        return max(0, self._peak - self.before)

    def _look(self) -> None:
        while not self._done.wait(EVERY):
            self._note("VmRSS")

    def _note(self, name: str) -> None:
        self._peak = max(self._peak, resident(name) or 0)


def resident(name: str) -> int | None:
    """An entry of the process's status in bytes; None where there is none."""
    try:
        lines = STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def _reset_peak() -> bool:
    """Sets VmHWM to VmRSS; False where the system does not."""
    try:
        RESET.write_text("5", encoding="utf-8")
    except OSError:
        return False
    peak, now = resident("VmHWM"), resident("VmRSS")
    return peak is not None and now is not None and peak <= 1.05 * now
