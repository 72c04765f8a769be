"""How much accuracy is lost from one test set to another, with an interval that knows which texts belong together."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from thriftune.analysis.statistics.basics import Floats

Ids = NDArray[np.int64]

RESAMPLES = 4000
SEED = 20
PAIRED_SHARE = 0.5
"""Sets pair up where at least this share of the second's texts belongs to a family with texts of the first."""
FEWEST_FAMILIES = 30
"""Fewer families that both sets share are too few to resample."""


@dataclass(frozen=True)
class Families:
    """Texts of two sets that belong together, because they share a text or are of one group, by family id."""

    first: Ids
    """Shape (texts of the first set,)."""
    second: Ids
    """Shape (texts of the second set,)."""
    shared_texts: int
    """Texts of the second set whose family has texts of the first."""


@dataclass(frozen=True)
class Drop:
    """Accuracy on the first set minus accuracy on the second, shares from 0 to 1."""

    value: float
    low: float
    high: float
    """Ends of the 95% interval."""


def families(first: Ids, second: Ids) -> Families | None:
    """Groups the texts of two sets by shared values in any column; None where the sets do not pair up.

    Both are of shape (texts, columns) and hold, from 1 on, one number for each value of a column in either set. A
    family is a connected component: texts linked through others belong to it too.
    """
    both = np.concatenate([first, second])
    texts = np.arange(len(both))
    links, total = [], len(both)
    for codes in both.T:
        links.append(np.stack([texts, total + codes - 1]))
        total += int(codes.max())
    rows, values = np.concatenate(links, axis=1)
    graph = coo_array((np.ones(len(rows), dtype=np.int8), (rows, values)), shape=(total, total))
    ids = connected_components(graph, directed=False)[1][: len(both)].astype(np.int64)
    ours, theirs = ids[: len(first)], ids[len(first) :]
    paired = np.isin(theirs, ours)
    if paired.mean() < PAIRED_SHARE or len(np.unique(theirs[paired])) < FEWEST_FAMILIES:
        return None
    return Families(ours, theirs, int(paired.sum()))


def paired_drop(first: Floats, second: Floats, groups: Families) -> Drop:
    """The drop with a percentile bootstrap over families (Davison and Hinkley, 1997, section 3.8).

    `first` and `second` are the shares of seeds that classified each text correctly, (texts,). Whole families are
    drawn, so that what its texts have in common stays together.
    """
    size = int(max(groups.first.max(), groups.second.max())) + 1
    table = np.stack(
        [
            np.bincount(groups.first, minlength=size).astype(np.float64),
            np.bincount(groups.first, weights=first, minlength=size),
            np.bincount(groups.second, minlength=size).astype(np.float64),
            np.bincount(groups.second, weights=second, minlength=size),
        ],
        axis=1,
    ).round(9)
    # Families that look alike are drawn together: the same distribution, whatever their number.
    kinds, counts = np.unique(table[table.any(axis=1)], axis=0, return_counts=True)
    draws = np.random.default_rng(SEED).multinomial(counts.sum(), counts / counts.sum(), size=RESAMPLES)
    texts, right, other_texts, other_right = (draws @ kinds).T
    with np.errstate(invalid="ignore", divide="ignore"):
        drops = right / texts - other_right / other_texts
    low, high = np.nanquantile(drops, [0.025, 0.975])
    return Drop(float(first.mean() - second.mean()), float(low), float(high))


def drop_between(first: float, ends: tuple[float, float], second: float, other_ends: tuple[float, float]) -> Drop:
    """The drop between two accuracies on unrelated texts with Newcombe's interval (1998, method 10).

    It follows from their own score intervals, whatever these count (texts, or groups of texts).
    """
    (low, high), (other_low, other_high) = ends, other_ends
    value = first - second
    return Drop(
        value,
        value - sqrt((first - low) ** 2 + (other_high - second) ** 2),
        value + sqrt((high - first) ** 2 + (second - other_low) ** 2),
    )
