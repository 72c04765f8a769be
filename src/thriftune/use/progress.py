"""How far a prediction is: rows, rows a second and the time left, on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from thriftune import wording as f

EVERY = 10.0
"""Seconds between two lines where standard error is no terminal."""


class Progress:
    """Called with each window that is done."""

    def __init__(self, rows: int = 0, read: float = 0.0, clock: Callable[[], float] = time.monotonic) -> None:
        """`rows` and `read` were done before, by a command that was interrupted."""
        self._clock, self._rows, self._read = clock, rows, read
        self._started, self._said = clock(), -EVERY
        self._terminal = sys.stderr.isatty()

    def text(self, rows: int, read: float) -> str:
        """For example "16,384 rows, 2,100 rows/s, 1 min 32 s left"."""
        passed, done = self._clock() - self._started, rows - self._rows
        parts = [f.plural(rows, "row")]
        if passed > 0 and done > 0:
            parts.append(f"{f.count(done / passed)} rows/s")
            if read > self._read:
                parts.append(f"{f.seconds(passed * max(0.0, 1 - read) / (read - self._read))} left")
        return ", ".join(parts)

    def show(self, rows: int, read: float) -> None:
        """Says it: a terminal's line is written anew, a file gets one every ten seconds."""
        now = self._clock()
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{self.text(rows, read)}")
        elif now - self._said >= EVERY:
            self._said = now
            sys.stderr.write(f"{self.text(rows, read)}\n")
        sys.stderr.flush()

    def done(self) -> None:
        """Leaves a terminal's line empty."""
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
