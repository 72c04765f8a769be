"""The part of a batch that this process computes where several share it, so that dropout drops what it would drop of
the whole batch.

A mask is a function of a seed and of an element's place in the whole; all processes draw the same seeds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

MIXER = 0x9E3779B97F4A7C15
SEEDS = 1 << 62


@dataclass(frozen=True)
class Share:
    """Neighbouring texts of a batch, whose texts stand longest first."""

    lengths: np.ndarray
    """(texts of the whole batch,) tokens."""
    start: int
    """The first text that is this process's."""
    stop: int
    """The one after the last."""
    rank: int

    @cached_property
    def rows(self) -> tuple[int, int, int]:
        """The first row that is this process's, the one after the last, and the rows of the whole batch."""
        ends = np.concatenate([[0], np.cumsum(self.lengths)])
        return int(ends[self.start]), int(ends[self.stop]), int(ends[-1])

    def place(self, x: torch.Tensor) -> tuple[int, int] | None:
        """Where x begins in the whole batch's tensor and how long that is, in rows or in texts as x has them.

        None where x has neither.
        """
        first, end, count = self.rows
        if x.shape[0] == end - first:
            return first, count
        return (self.start, len(self.lengths)) if x.shape[0] == self.stop - self.start else None

    def before(self, heads: int, lanes: int, queries_too: bool) -> int:
        """The elements that an attention kernel counts for the texts before this process's."""
        lengths = self.lengths[: self.start].astype(np.int64)
        columns = -(-lengths // (2 * lanes)) * (2 * lanes)
        return int(heads * (columns * (lengths if queries_too else 1)).sum())


_present: list[Share] = []


def present() -> Share | None:
    """The share that is being computed; None where the whole batch is."""
    return _present[-1] if _present else None


@contextmanager
def computing(share: Share) -> Iterator[None]:
    """Inside, forward and backward are those of a share."""
    _present.append(share)
    try:
        yield
    finally:
        _present.pop()


def first_of(x: torch.Tensor) -> int:
    """The element from which a dropout of x counts.

    What has neither rows nor texts belongs to no text: it is the same for all processes.
    """
    share = present()
    place = None if share is None else share.place(x)
    return 0 if place is None else place[0] * (x.numel() // max(1, x.shape[0]))


def own_seed(seed: int) -> int:
    """A seed that is this process's alone, for what has texts but no place among those of the whole batch."""
    share = present()
    return seed if share is None else (seed + share.rank * MIXER) % SEEDS
