"""How many more test texts or seeds would settle an undecided comparison."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from scipy import stats

from thriftune.analysis.statistics.inference import Difference

POWER = 0.8
"""The chance of an outcome at the planned size, if the difference is as estimated."""
MOST_TEXTS = 10_000_000
MOST_SEEDS = 100


@dataclass(frozen=True)
class Needed:
    """The sizes at which the outcome would be found with a chance of 80%, each with the other kept."""

    texts: int | None
    """Test texts in all; None where no number of texts suffices (or more than ten million)."""
    seeds: int | None
    """Seeds of each method in all; None where no number suffices (or more than a hundred) or nothing was repeated."""


def needed(difference: Difference, margin: float, level: float, seeds: int) -> Needed:
    """The least texts or seeds for either outcome: a difference at the confidence level, or equivalence.

    `margin` is in the difference's unit, `seeds` the smaller number of seeds of the two methods.
    """
    gap = abs(difference.centre)
    goals = [(gap, 0.5 + level / 2)]
    if gap < margin:
        goals.append((margin - gap, 0.95))
    texts = [found for goal in goals if (found := _texts(difference, *goal)) is not None]
    repeats = [found for goal in goals if (found := _seeds(difference, *goal, seeds)) is not None]
    return Needed(min(texts, default=None), min(repeats, default=None))


def _texts(difference: Difference, gap: float, quantile: float) -> int | None:
    reach = gap / (stats.t.ppf(quantile, difference.seed_freedom) + NormalDist().inv_cdf(POWER))
    fixed = max(0.0, difference.seed_part - difference.noise)
    if reach**2 <= fixed:
        return None
    shrinking = difference.text_part + difference.seed_part - fixed
    found = math.ceil(difference.texts * shrinking / (reach**2 - fixed))
    return max(found, difference.texts + 1) if found <= MOST_TEXTS else None


def _seeds(difference: Difference, gap: float, quantile: float, seeds: int) -> int | None:
    if not difference.repeated:
        return None
    for number in range(seeds + 1, MOST_SEEDS + 1):
        seed_part = difference.spread / number
        variance = difference.text_part + seed_part
        freedom = difference.seed_freedom * number / seeds
        freedom *= (variance / seed_part) ** 2 if seed_part else math.inf
        critical = stats.t.ppf(quantile, freedom) + NormalDist().inv_cdf(POWER)
        if variance <= (gap / critical) ** 2:
            return number
    return None
