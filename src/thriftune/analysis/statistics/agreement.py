"""Whether runs err on the same texts: counts by pair of runs, agreement beyond chance, and contrasts of groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.inference import PSEUDO_TEXTS, Ints


@dataclass(frozen=True)
class Agreement:
    """Texts by how two runs did on them; each of shape (runs, runs), rows the first run, columns the second."""

    both_right: Ints
    only_first: Ints
    only_second: Ints
    same_wrong: Ints
    """Both wrong, with the same label."""
    other_wrong: Ints
    """Both wrong, with different labels."""

    @property
    def disagreement(self) -> Floats:
        """The share of texts that exactly one of the two got right, shape (runs, runs)."""
        texts = self.both_right + self.only_first + self.only_second + self.same_wrong + self.other_wrong
        return np.asarray((self.only_first + self.only_second) / np.maximum(texts, 1), dtype=np.float64)

    def kappa(self, first: int, second: int) -> float | None:
        """Cohen's (1960) kappa on right and wrong; None where neither erred or both always did."""
        right, a, b = (int(each[first, second]) for each in (self.both_right, self.only_first, self.only_second))
        wrong = int(self.same_wrong[first, second] + self.other_wrong[first, second])
        texts = right + a + b + wrong
        expected = (right + a) * (right + b) + (wrong + a) * (wrong + b)
        if expected == texts * texts:
            return None
        return ((right + wrong) * texts - expected) / (texts * texts - expected)


def agreement(label: Ints, predicted: Ints) -> Agreement:
    """Counts all pairs at once; `predicted` has shape (runs, texts)."""
    right = (predicted == label).astype(np.float64)
    wrong = 1 - right
    same = np.zeros((len(predicted), len(predicted)))
    for each in np.unique(predicted):
        mine = wrong * (predicted == each)
        same += mine @ mine.T
    both = (right @ right.T, right @ wrong.T, wrong @ right.T, same, wrong @ wrong.T - same)
    return Agreement(*(np.rint(each).astype(np.int64) for each in both))


@dataclass(frozen=True)
class Excess:
    """How much more two kinds of pairs disagree, as a share of texts, with its standard error."""

    estimate: float
    error: float
    freedom: float

    def interval(self, level: float) -> tuple[float, float]:
        """The interval at a confidence level, over other texts and other seeds."""
        half = float(stats.t.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.estimate - half, self.estimate + half


Groups = Sequence[Sequence[int]]
"""Rows of runs that differ by seed alone."""


def beyond_seeds(runs: int, groups: Groups, pairs: Sequence[tuple[int, int]]) -> Floats | None:
    """Weights of the disagreements between two groups less those within them, averaged over pairs of groups.

    With p(i) and q(i) the chance that a seed of either method is right on text i, the weighted sum's expectation
    is the mean of (p(i) - q(i))²: 0 where the methods err on the same texts with the same chance, whatever their
    seeds do. Shape (runs, runs); None without pairs, or where a group has one seed.
    """
    if not pairs or any(len(groups[i]) < 2 for pair in pairs for i in pair):
        return None
    weights = np.zeros((runs, runs))
    for pair in pairs:
        first, second = (groups[i] for i in pair)
        weights[np.ix_(first, second)] += 1 / (len(first) * len(second))
        for group in (first, second):
            weights[np.ix_(group, group)] -= 0.5 / (len(group) * (len(group) - 1))
    np.fill_diagonal(weights, 0)
    return weights / len(pairs)


def excess(label: Ints, predicted: Ints, groups: Groups, weights: Floats) -> Excess:
    """A weighted sum of disagreements with its error over texts and seeds; `predicted` has shape (runs, texts).

    Errors that a seed makes text by text are in the spread over texts. Errors that it makes on many texts together
    (a run that favours a label) add to it: their size is read from the products of two groups' deviations from
    their means, which are 0 on average whatever the methods do.
    """
    right = (predicted == label).astype(np.float64)
    by_text = ((right.T @ weights) * (1 - right.T) + ((1 - right.T) @ weights) * right.T).sum(axis=1)
    total = len(label) + PSEUDO_TEXTS
    text_part = ((float(by_text @ by_text) + PSEUDO_TEXTS) / total - float(by_text.mean()) ** 2) / total
    products, freedom = _shared(right, [list(group) for group in groups if np.abs(weights[group]).sum() > 0])
    size = 4 * float((np.triu(weights + weights.T, 1) ** 2).sum())
    seed_part = max(0.0, size * products)
    error = math.sqrt(text_part + seed_part)
    return Excess(float(by_text.mean()), error, freedom * (error**2 / seed_part) ** 2 if seed_part else math.inf)


def _shared(right: Floats, groups: list[list[int]]) -> tuple[float, int]:
    """Mean square of the product of two runs' deviations, less what independent texts explain, and its freedom."""
    deviations = [right[group] - right[group].mean(axis=0) for group in groups]
    texts = right.shape[1]
    total, freedom = 0.0, 0
    for i, first in enumerate(deviations):
        for second in deviations[:i]:
            total += float(((first @ second.T / texts) ** 2).sum())
            total -= float((first**2 @ (second**2).T).sum()) / texts**2
            freedom += (len(first) - 1) * (len(second) - 1)
    return total / freedom, freedom
