"""Which of several methods could be the best: multiple comparisons with the best (Hsu, 1984)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy import stats

from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.clustered import clustered_difference
from thriftune.analysis.statistics.inference import PSEUDO_TEXTS, Difference, Ints, Measured, difference
from thriftune.analysis.statistics.metric_intervals import with_weight
from thriftune.analysis.statistics.spreads import SeedSpread, seed_spreads

DRAWS = 20_000
"""Normal draws from which the multiplicity is read; always the same ones."""
SEED = 20

Differences = dict[tuple[int, int], Difference]
"""First minus second of every pair of methods, both ways round."""


@dataclass(frozen=True)
class AgainstBest:
    """A method's score minus the highest of the other methods' scores, in the measure's unit."""

    estimate: float
    low: float
    """It is at least this much, 0 or less."""
    high: float
    """It is at most this much, 0 or more; 0 where another method is better."""
    could_be_best: bool
    """Whether no other method is shown to be better."""

    @property
    def below_at_most(self) -> float:
        """How far below the best it lies at most, 0 or more."""
        return max(0.0, -self.low)


@dataclass(frozen=True)
class Compared:
    """Several methods on the same texts, each against the best of the others."""

    methods: list[AgainstBest]
    differences: Differences
    """As every pair's verdict has them."""

    @property
    def best_set(self) -> list[int]:
        """Those that could be the best, by index."""
        return [i for i, each in enumerate(self.methods) if each.could_be_best]

    @property
    def repeated(self) -> bool:
        """Whether it speaks of methods, seeds included; else of these trained models."""
        return all(each.repeated for each in self.differences.values())


def compare(
    methods: Sequence[Measured],
    level: float = 0.95,
    groups: Ints | None = None,
    weight: float = 0.0,
    spreads: Sequence[SeedSpread] | None = None,
) -> Compared:
    """The methods that could be the best, and how far each lies below the best at most.

    All of it holds at once with the given confidence, whichever method is looked at: the best is among those that
    could be (Gupta, 1965), and each method's score minus the best of the others' lies in its interval (Hsu's
    constrained intervals). Methods of several models are compared alike, if they classify the same texts. `groups`
    holds the group of each text where texts belong together; `weight` is what a text of the rarest class is worth, of a
    score that weighs classes alike (`metric_intervals.with_weight`). `spreads` are the methods' over seeds, as decided
    for all of a study; without them they are decided from these. Raises ValueError without a method.

    A method is out where another leads it by more than a one-sided bound allows. The bound's level comes from the
    largest of all its leads under the estimated correlation (as Dunnett's, 1955, for control and treatments), and its
    length from the pair's error and degrees of freedom, the same as in its verdict.
    """
    if not methods:
        raise ValueError("no methods to compare")
    every = range(len(methods))
    if len(methods) == 1:
        return Compared([AgainstBest(0.0, 0.0, 0.0, True)], {})
    spreads = spreads or seed_spreads(methods)
    differences = _differences(methods, spreads, groups, weight)
    alphas = _one_sided_levels(covariance(methods, spreads, groups), 1 - level)
    reach = {(i, j): _reach(each, alphas[i]) for (i, j), each in differences.items()}
    high = [max(0.0, min(differences[i, j].centre + reach[i, j] for j in every if j != i)) for i in every]
    best = [i for i in every if high[i] > 0]
    found = []
    for i in every:
        rivals = [j for j in best if j != i]
        low = min((differences[i, j].centre - reach[j, i] for j in rivals), default=0.0)
        estimate = min(differences[i, j].estimate for j in every if j != i)
        found.append(AgainstBest(estimate, min(0.0, low), high[i], high[i] > 0))
    return Compared(found, differences)


def _differences(
    methods: Sequence[Measured], spreads: Sequence[SeedSpread], groups: Ints | None, weight: float
) -> Differences:
    found: Differences = {}
    for i, j in combinations(range(len(methods)), 2):
        pair = spreads[i], spreads[j]
        if groups is None:
            found[i, j] = difference(methods[i], methods[j], spreads=pair)
        else:
            found[i, j] = clustered_difference(methods[i], methods[j], groups, spreads=pair)
        if weight:
            found[i, j] = with_weight(found[i, j], weight)
        found[j, i] = replace(found[i, j], estimate=-found[i, j].estimate, centre=-found[i, j].centre)
    return found


def _reach(each: Difference, alpha: float) -> float:
    return float(stats.t.isf(alpha, each.freedom)) * each.error


def covariance(methods: Sequence[Measured], spreads: Sequence[SeedSpread], groups: Ints | None = None) -> Floats:
    """The covariance of the methods' mean scores over texts and seeds, shape (methods, methods)."""
    contributions = np.stack([each.contributions for each in methods])
    deviations = contributions - contributions.mean(axis=1, keepdims=True)
    texts, units = deviations.shape[1], deviations.shape[1]
    if groups is not None:
        units = int(groups.max()) + 1
        deviations = np.stack([np.bincount(groups, weights=row, minlength=units) for row in deviations])
    found = deviations @ deviations.T / texts**2
    seeds = [max(0.0, spread.variance - each.floor) / each.seeds for each, spread in zip(methods, spreads, strict=True)]
    found += np.diag(seeds) + np.eye(len(methods)) * PSEUDO_TEXTS / 2 / units**2
    return np.asarray(found, dtype=np.float64)


def _one_sided_levels(found: Floats, alpha: float) -> list[float]:
    """For each method the level of one comparison at which the largest of all others' leads exceeds it by chance in a
    share `alpha` of cases.
    """
    methods = len(found)
    if methods == 2:
        return [alpha, alpha]
    values, vectors = np.linalg.eigh(found)
    drawn = np.random.default_rng(SEED).standard_normal((DRAWS, methods)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    variance = np.diag(found)
    deviations = np.sqrt(np.maximum(variance[:, None] + variance[None, :] - 2 * found, np.finfo(float).tiny))
    levels = []
    for i in range(methods):
        rest = np.arange(methods) != i
        largest = ((drawn[:, rest] - drawn[:, [i]]) / deviations[i, rest]).max(axis=1)
        levels.append(float(stats.norm.sf(np.quantile(largest, 1 - alpha))))
    return levels
