"""How a batch is split: neighbours in the order of their lengths, each process about as many tokens."""

from __future__ import annotations

import numpy as np


def shares(lengths: np.ndarray, size: int) -> list[int]:
    """Where each process's texts begin among texts longest first: (size + 1) places, the last one their number.

    Every process has a text where there are enough; else the first ones have one each.
    """
    count = len(lengths)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    targets = ends[-1] * np.arange(1, size) / size
    above = np.searchsorted(ends, targets)
    below = np.maximum(above - 1, 0)
    nearest = np.where(targets - ends[below] < ends[above] - targets, below, above)
    places = [0]
    for number, place in enumerate(nearest, start=1):
        least = min(number, count)
        most = max(count - (size - number), least)
        places.append(int(min(max(place, least, places[-1]), most)))
    return [*places, count]
