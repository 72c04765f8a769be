"""Statistics that the panels share; each names its source."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, rankdata

Floats = NDArray[np.float64]


def wilson(successes: int, trials: int, level: float = 0.95) -> tuple[float, float]:
    """The score interval of a proportion, both ends from 0 to 1 (Wilson, 1927).

    Without trials nothing is known: (0, 1).
    """
    if trials == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == trials else float(centre + half)
    return low, high


def above_share(successes: int, trials: int, share: float) -> float:
    """The exact one-sided binomial p value of at least so many successes at probability `share`."""
    return float(binom.sf(successes - 1, trials, share)) if trials else 1.0


def kendalls_w(scores: Floats) -> float | None:
    """Concordance of raters, 0 to 1, corrected for ties (Kendall and Smith, 1939).

    `scores` has shape (raters, items). None with fewer than two raters or items, or without any
    difference between items.
    """
    raters, items = scores.shape
    if raters < 2 or items < 2:
        return None
    ranks = np.apply_along_axis(rankdata, 1, scores)
    spread = float(((ranks.sum(axis=0) - raters * (items + 1) / 2) ** 2).sum())
    ties = 0.0
    for row in ranks:
        _, sizes = np.unique(row, return_counts=True)
        ties += float((sizes.astype(np.float64) ** 3 - sizes).sum())
    largest = raters**2 * (items**3 - items) - raters * ties
    return 12 * spread / largest if largest > 0 else None


def tukey(values: Floats) -> dict[str, float]:
    """The numbers of a box plot: low, q1, median, q3, high (Tukey, 1977).

    Low and high are the last values within 1.5 interquartile ranges. `values` has shape (n,), n at least 1.
    """
    q1, median, q3 = (float(q) for q in np.quantile(values, [0.25, 0.5, 0.75]))
    reach = 1.5 * (q3 - q1)
    inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
    return {"low": float(inside.min()), "q1": q1, "median": median, "q3": q3, "high": float(inside.max())}
