"""The difference of two methods with its uncertainty: from test texts and from seeds (docs/verdicts.md).

Scores are crossed: every run of a method classifies the same texts, and runs of one method differ by seed. The
variance of a difference of means therefore has a part that only more texts reduce and a part that only more seeds
reduce, as with cases and readers in the multi-reader studies of Obuchowski and Rockette (1995), here with readers
nested in methods; degrees of freedom follow Hillis (2007).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.spreads import SeedSpread, freedom_of, seed_spreads

Ints = NDArray[np.int64]

PSEUDO_TEXTS = 2
"""One more text that only the first got right and one that only the second did (Bonett and Price, 2012)."""


@dataclass(frozen=True)
class Measured:
    """One method by one measure: the scores of its seeds, and what each text contributes to them."""

    scores: Floats
    """Shape (seeds,)."""
    contributions: Floats
    """Mean over the seeds, shape (texts,); their mean over the texts is the mean score."""
    noise: float
    """Variance over seeds of one text's contribution beyond what the seeds' scores share."""
    deterministic: bool = False
    """Another seed would give the same (baselines)."""

    @property
    def seeds(self) -> int:
        """How many runs."""
        return len(self.scores)

    @property
    def repeated(self) -> bool:
        """Whether the seeds' spread is known: from repeats, or because there is none."""
        return self.deterministic or self.seeds > 1

    @property
    def spread(self) -> float:
        """Sample variance of one run's score over seeds; 0 where nothing is repeated."""
        return float(self.scores.var(ddof=1)) if self.seeds > 1 else 0.0

    @property
    def floor(self) -> float:
        """The least that one run's score must vary over seeds, given how single texts do."""
        return self.noise / len(self.contributions)


def measured(contributions: Floats, deterministic: bool = False) -> Measured:
    """Summarises runs of one method; `contributions` has shape (seeds, texts) and averages to the scores."""
    scores = contributions.mean(axis=1)
    noise = 0.0
    if len(scores) > 1:
        noise = max(0.0, float(contributions.var(axis=0, ddof=1).mean() - scores.var(ddof=1)))
    return Measured(scores, contributions.mean(axis=0), noise, deterministic)


@dataclass(frozen=True)
class Difference:
    """First method minus second, in the measure's unit, with the parts of its variance."""

    estimate: float
    centre: float
    """The intervals' middle: the estimate drawn towards 0 by the pseudo-texts."""
    texts: int
    text_part: float
    """Variance that only more texts reduce."""
    seed_part: float
    """Variance that only more seeds reduce, but for `noise`; 0 where the seeds are taken as they are."""
    noise: float
    """What of the seed part more texts reduce too: single texts that seeds decide by chance."""
    spread: float
    """Variance of one run's score over seeds, summed over both methods."""
    seed_freedom: float
    """Degrees of freedom of the seed part; infinite where there is none."""
    pooled: bool
    """Whether the seed part rests on further methods' seeds."""

    @property
    def repeated(self) -> bool:
        """Whether it speaks of the methods, seeds included; else of these trained models."""
        return math.isfinite(self.seed_freedom)

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.text_part + self.seed_part)

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the standard error (Satterthwaite, 1946)."""
        if self.seed_part == 0:
            return math.inf
        return self.seed_freedom * ((self.text_part + self.seed_part) / self.seed_part) ** 2

    @property
    def p(self) -> float:
        """Two-sided p value of no difference."""
        return float(2 * stats.t.sf(abs(self.centre) / self.error, self.freedom))

    def equivalence_p(self, margin: float) -> float:
        """The p value that the difference is at least the margin, either way (Schuirmann, 1987)."""
        return float(stats.t.sf((margin - abs(self.centre)) / self.error, self.freedom))

    def interval(self, level: float) -> tuple[float, float]:
        """The interval at a confidence level."""
        half = float(stats.t.ppf(0.5 + level / 2, self.freedom)) * self.error
        return self.centre - half, self.centre + half


def difference(
    first: Measured,
    second: Measured,
    others: Sequence[Measured] = (),
    spreads: tuple[SeedSpread, SeedSpread] | None = None,
) -> Difference:
    """First minus second, on the same texts.

    Where both methods were repeated it speaks of the methods, on other texts and with other seeds; `spreads` are
    theirs, as `spreads.seed_spreads` decided them for all methods that are compared; without them they are decided from
    the two and `others`. Else it speaks of these trained models on other texts.
    """
    pair = (first, second)
    texts = len(first.contributions)
    estimate = float(first.scores.mean() - second.scores.mean())
    total = texts + PSEUDO_TEXTS
    centre = estimate * texts / total
    by_text = first.contributions - second.contributions
    text_variance = ((float(by_text @ by_text) + PSEUDO_TEXTS) / total - centre**2) / total
    if not (first.repeated and second.repeated) or (first.deterministic and second.deterministic):
        return Difference(estimate, centre, texts, text_variance, 0.0, 0.0, 0.0, math.inf, False)
    noise = sum(each.floor / each.seeds for each in pair)
    one, other = spreads or seed_spreads([*pair, *others])[:2]
    seeded = sum(not each.deterministic for each in pair)
    return Difference(
        estimate,
        centre,
        texts,
        text_part=max(0.0, text_variance - noise),
        seed_part=one.variance / first.seeds + other.variance / second.seeds,
        noise=noise,
        spread=one.variance + other.variance,
        seed_freedom=freedom_of(one, other, (first.seeds, second.seeds)),
        pooled=any(each.methods > seeded for each in (one, other)),
    )


def holm(p_values: Sequence[float], alpha: float = 0.05) -> tuple[list[float], list[float]]:
    """Adjusted p values, and for each test the confidence level whose interval excludes 0 just where Holm rejects.

    Holm (1979): ordered from the smallest, each p value times the number of those left.
    """
    number = len(p_values)
    order = sorted(range(number), key=lambda i: p_values[i])
    adjusted, levels = [0.0] * number, [0.0] * number
    largest, left = 0.0, number
    for rank, i in enumerate(order):
        if largest < alpha:
            left = number - rank
        levels[i] = 1 - alpha / left
        largest = max(largest, min(1.0, p_values[i] * (number - rank)))
        adjusted[i] = largest
    return adjusted, levels


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p value that two models are equally often right alone (McNemar, 1947)."""
    total = only_first + only_second
    return float(min(1.0, 2 * stats.binom.cdf(min(only_first, only_second), total, 0.5)))


def bootstrap(
    label: Ints, first: Ints, second: Ints, classes: int, replicates: int = 2000, seed: int = 0
) -> tuple[Floats, Floats]:
    """Accuracy and macro F1 differences of two runs on texts drawn with replacement, each of shape (replicates,).

    Texts with equal label and predictions are exchangeable, so that their counts are drawn, not the texts: the
    same distribution as Efron's (1979) paired bootstrap.
    """
    joint, counts = np.unique((label * classes + first) * classes + second, return_counts=True)
    true, a, b = joint // classes**2, joint // classes % classes, joint % classes
    columns = [_indicator(true, classes)]
    for given in (a, b):
        columns += [_indicator(given, classes, given == true), _indicator(given, classes)]
    table = sparse.hstack(columns, format="csr")
    rng = np.random.default_rng(seed)
    drawn = np.concatenate(
        [
            rng.multinomial(len(label), counts / len(label), size=len(part)).astype(np.float64) @ table
            for part in np.array_split(np.arange(replicates), max(1, replicates * len(joint) // 4_000_000))
        ]
    )
    support, *runs = np.split(drawn, range(classes, 5 * classes, 2 * classes), axis=1)
    accuracy, f1 = [], []
    for run in runs:
        right, predicted = run[:, :classes], run[:, classes:]
        total = support + predicted
        accuracy.append(right.sum(axis=1) / len(label))
        each = np.divide(2 * right, total, out=np.zeros_like(total), where=total > 0)
        f1.append(each.sum(axis=1) / (total > 0).sum(axis=1))
    return accuracy[0] - accuracy[1], f1[0] - f1[1]


def _indicator(labels: Ints, classes: int, counted: NDArray[np.bool_] | None = None) -> sparse.csr_array:
    """1 at each row's label where it is counted, shape (rows, classes)."""
    rows = np.arange(len(labels)) if counted is None else np.flatnonzero(counted)
    return sparse.csr_array((np.ones(len(rows)), (rows, labels[rows])), shape=(len(labels), classes))
