"""What fits into some memory: whether a case does, and its largest batch size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from thriftune.cost.predicted.estimate import Case, peak_bytes


@dataclass(frozen=True)
class Room:
    """Whether a case fits into some memory."""

    fits: bool
    largest_batch_size: int
    """0 where not even one text fits."""


def room(case_with: Callable[[int], Case], peak: int, batch: int, limit: int, most: int) -> Room:
    """How a case fits into `limit` bytes: `case_with` makes it for a batch size, `peak` is what `batch` needs.

    The largest batch size, at most `most`, is found by interpolation and halving on the estimate itself.
    """
    known = {batch: peak}

    def need(size: int) -> int:
        if size not in known:
            known[size] = peak_bytes(case_with(size))
        return known[size]

    low, high = 0, most + 1
    if peak <= limit:
        low = min(batch, most)
    else:
        high = min(batch, high)
    if low == 0 and high > 1:
        if need(1) > limit:
            return Room(peak <= limit, 0)
        low = 1
    while high - low > 1:
        guess = _between(known, limit, low, high)
        if need(guess) <= limit:
            low = guess
        else:
            high = guess
    return Room(peak <= limit, low)


def _between(known: dict[int, int], limit: int, low: int, high: int) -> int:
    """A size between two bounds: where a line through the nearest known sizes meets the limit, kept off the bounds."""
    below, above = sorted(known, key=lambda size: (abs(known[size] - limit), size))[:2] if len(known) > 1 else (0, 0)
    if below == above or known[below] == known[above]:
        return min(high - 1, max(low + 1, 2 * low))
    slope = (known[above] - known[below]) / (above - below)
    guess = int(below + (limit - known[below]) / slope)
    return min(high - 1, max(low + 1, guess))
