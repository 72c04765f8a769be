"""Test texts that belong together (one premise, one author): intervals that count groups, not texts.

Texts of one group are right or wrong together, so that a group says less than as many unrelated texts. Variances are
those of ratio estimators over groups that are drawn at random (Cochran, 1977, section 9A; Obuchowski, 1997).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from scipy import sparse, stats

from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.inference import PSEUDO_TEXTS, Difference, Ints, Measured, difference
from thriftune.analysis.statistics.metric_intervals import Counts, Metric, Score, transformed, values
from thriftune.analysis.statistics.spreads import SeedSpread

CHUNK = 4_000_000
"""Numbers of one batch of replicates."""


@dataclass(frozen=True)
class ClusteredShare:
    """A share of texts that are right, and what their groups leave of them."""

    value: float
    low: float
    high: float
    texts: int
    groups: int
    design_effect: float
    """How many times the variance is that of unrelated texts (Kish, 1965); at least 1."""
    effective_texts: float
    """Unrelated texts that would tell as much."""


@dataclass(frozen=True)
class ClusteredDifference(Difference):
    """A difference whose texts come in groups."""

    groups: int

    @property
    def freedom(self) -> float:
        """Degrees of freedom over the groups and over the seeds together (Satterthwaite, 1946)."""
        parts = self.text_part**2 / max(1, self.groups - 1)
        if self.seed_part:
            parts += self.seed_part**2 / self.seed_freedom
        return (self.text_part + self.seed_part) ** 2 / parts if parts else math.inf


def group_variance(values: Floats, groups: Ints) -> float:
    """The variance of the mean of `values`, shape (texts,), where whole groups are drawn; 0 where there is one group.

    `groups` holds the group of each text, ids from 0 without gaps.
    """
    number = int(groups.max()) + 1
    if number < 2:
        return 0.0
    sums = np.bincount(groups, weights=values - values.mean(), minlength=number)
    return float(sums @ sums) * number / (number - 1) / len(values) ** 2


def design_effect(values: Floats, groups: Ints) -> float:
    """How many times the variance of the mean is that of unrelated texts, at least 1 (Kish, 1965).

    Where all values are equal it cannot be seen: a group then counts as one text.
    """
    plain = float(values.var()) / len(values)
    if plain == 0:
        return float((np.bincount(groups).astype(np.float64) ** 2).sum()) / len(values)
    return max(1.0, group_variance(values, groups) / plain)


def accuracy(right: Floats, groups: Ints, level: float = 0.95) -> ClusteredShare:
    """The score interval of a share with the texts that groups are worth; `right` has shape (texts,), 0 or 1 each.

    Wilson's (1927) interval at the texts over the design effect, with Student's t on groups minus one degrees of
    freedom (Korn and Graubard, 1998; Dean and Pagano, 2015).
    """
    texts, number = len(right), int(groups.max()) + 1
    value, effect = float(right.mean()), design_effect(right, groups)
    effective = texts / effect
    if number == 1:
        return ClusteredShare(value, 0.0, 1.0, texts, number, effect, effective)
    z = float(stats.t.ppf(0.5 + level / 2, number - 1))
    centre = (value + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective) * math.sqrt(value * (1 - value) / effective + z * z / (4 * effective**2))
    low, high = 0.0 if value == 0 else centre - half, 1.0 if value == 1 else centre + half
    return ClusteredShare(value, low, high, texts, number, effect, effective)


def clustered_difference(
    first: Measured,
    second: Measured,
    groups: Ints,
    others: Sequence[Measured] = (),
    spreads: tuple[SeedSpread, SeedSpread] | None = None,
) -> ClusteredDifference:
    """First minus second as `inference.difference`, at the number of unrelated texts that the groups are worth.

    The pseudo-texts that keep a few texts without disagreement from counting as proof weigh more for it.
    """
    plain = difference(first, second, others, spreads)
    by_text = first.contributions - second.contributions
    effective = plain.texts / design_effect(by_text, groups)
    total = effective + PSEUDO_TEXTS
    centre = plain.estimate * effective / total
    squares = float(by_text @ by_text) / plain.texts
    variance = ((squares * effective + PSEUDO_TEXTS) / total - centre**2) / total
    parts = {each.name: getattr(plain, each.name) for each in fields(Difference)}
    parts |= {"centre": centre, "text_part": max(plain.text_part, variance - plain.noise)}
    return ClusteredDifference(**parts, groups=int(groups.max()) + 1)


def clustered_score(metric: Metric, method: Measured, weight: float, groups: Ints, level: float = 0.95) -> Score:
    """A score's interval as `metric_intervals.score` has it, over other groups of texts and other seeds.

    One run's accuracy has the interval of `accuracy`. Of several runs the seeds' part stays; the texts' part is that of
    whole groups, at least that of single texts, with groups minus one degrees of freedom.
    """
    value, number = float(method.scores.mean()), int(groups.max()) + 1
    if metric == "accuracy" and method.seeds == 1:
        found = accuracy(method.contributions, groups, level)
        return Score(value, found.low, found.high)
    plain = float(method.contributions.var()) / len(groups)
    text_part = plain * design_effect(method.contributions, groups) + weight**2 / 4
    seed_part = 0.0
    if method.seeds > 1:
        text_part = max(0.0, text_part - method.floor / method.seeds)
        seed_part = max(method.spread, method.floor) / method.seeds
    parts = text_part**2 / max(1, number - 1)
    if seed_part:
        parts += seed_part**2 / (method.seeds - 1)
    freedom = (text_part + seed_part) ** 2 / parts if parts else math.inf
    reach = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(text_part + seed_part)
    return transformed(metric, value, reach, weight / 2)


def clustered_mcnemar(first: Floats, second: Floats, groups: Ints) -> float:
    """The two-sided p value that two models are equally often right alone, where whole groups are drawn.

    `first` and `second` have shape (texts,), 1 where right. The squared sum of the groups' differences over the sum of
    their squares, chi-squared with one degree of freedom (Yang, Sun and Hardin, 2010).
    """
    by_group = np.bincount(groups, weights=first - second)
    squares = float(by_group @ by_group)
    return float(stats.chi2.sf(by_group.sum() ** 2 / squares, 1)) if squares else 1.0


def bootstrap(
    table: Floats, groups: Ints, statistic: Callable[[Floats], Floats], replicates: int = 2000, seed: int = 0
) -> Floats:
    """A statistic of texts whose groups are drawn with replacement (Davison and Hinkley, 1997, section 3.8).

    `table` has shape (texts, columns): what the statistic needs of each text, so that it needs their sums alone.
    `statistic` takes sums of shape (replicates, columns) and gives an array whose first axis is the replicates.
    """
    number = int(groups.max()) + 1
    sums = np.stack([np.bincount(groups, weights=column, minlength=number) for column in table.T], axis=1)
    kinds, counts = np.unique(sums.round(9), axis=0, return_counts=True)
    rng = np.random.default_rng(seed)
    parts = np.array_split(np.arange(replicates), max(1, replicates * len(kinds) // CHUNK))
    drawn = [rng.multinomial(number, counts / number, size=len(part)) @ kinds for part in parts]
    return statistic(np.concatenate(drawn))


def metric_bootstrap(
    metric: Metric,
    label: Ints,
    first: Ints,
    second: Ints,
    classes: int,
    groups: Ints,
    replicates: int = 2000,
    seed: int = 0,
) -> Floats:
    """The difference of two runs' metric on groups drawn with replacement, shape (replicates,)."""
    texts, number = len(label), int(groups.max()) + 1
    rows = np.arange(texts)

    def indicator(at: Ints, counts: Floats) -> sparse.csr_array:
        return sparse.csr_array((counts, (rows, at)), shape=(texts, classes))

    ones = np.ones(texts)
    columns = [indicator(label, ones)]
    for run in (first, second):
        columns += [indicator(run, (run == label).astype(np.float64)), indicator(run, ones)]
    members = sparse.csr_array((ones, (groups, rows)), shape=(number, texts))
    sums = sparse.csr_array(members @ sparse.hstack(columns, format="csr"))
    rng = np.random.default_rng(seed)
    share, found = np.full(number, 1 / number), []
    for part in np.array_split(np.arange(replicates), max(1, replicates * number // CHUNK)):
        drawn = rng.multinomial(number, share, size=len(part)).astype(np.float64) @ sums
        support, *runs = np.split(np.asarray(drawn), 5, axis=1)
        one, other = (values(metric, Counts(runs[i], runs[i + 1], support)) for i in (0, 2))
        found.append(one - other)
    return np.concatenate(found)
