"""Whether a run learned anything: whether its predictions depend on the labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.inference import Ints

LEVEL = 0.05
EXPECTED = 5.0
"""Where every cell is expected to hold so many texts, the chi-square distribution serves (Cochran, 1954)."""
PERMUTATIONS = 1999
SEED = 20
CLEAR = 20.0
"""Agreement so many standard deviations above chance needs no permutations: p is below 1 / (1 + CLEAR²) (Cantelli)."""


@dataclass(frozen=True)
class Dependence:
    """What speaks against predictions that know nothing of the labels."""

    p: float
    """An upper bound of it where agreement is far above chance."""
    agreement: float
    """Right predictions above those expected by chance, in standard deviations; 0 where only one label is predicted."""

    @property
    def learned(self) -> bool:
        """Whether it is more than chance at 5%."""
        return self.p < LEVEL


def dependence(label: Ints, predicted: Ints, classes: int) -> Dependence:
    """Tests whether predictions depend on labels; both of shape (texts,).

    With two classes Fisher's (1922) exact test, one-sided: a run that is wrong more often than chance has not learned.
    With more, the chi-square statistic and the number of right predictions are both taken: the one sees a rare class
    that is found while the others are guessed, the other a little agreement in many classes. Their p values are
    asymptotic where all expected counts are large, with Bonferroni's correction; else the smaller of the two is held
    against what it is when labels are permuted (Westfall and Young, 1993), always with the same random numbers, so that
    at most 5% of runs that know nothing pass as having learned. Accuracy above the majority class is not asked: a
    classifier that finds half of a rare class need not have it.
    """
    table = np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)
    rows, columns = table.sum(axis=1).astype(np.float64), table.sum(axis=0).astype(np.float64)
    if (rows > 0).sum() < 2 or (columns > 0).sum() < 2:
        return Dependence(1.0, 0.0)
    agreement = _agreement(rows, columns, float(np.trace(table)))
    used = (rows > 0) | (columns > 0)
    if used.sum() == 2:
        first = int(np.flatnonzero(used)[0])
        right, texts = int(table[first, first]), len(label)
        return Dependence(float(stats.hypergeom.sf(right - 1, texts, rows[first], columns[first])), agreement)
    if agreement > CLEAR:
        return Dependence(2 / (1 + agreement**2), agreement)
    table = table[rows > 0][:, columns > 0]
    expected = np.outer(rows[rows > 0], columns[columns > 0]) / len(label)
    if expected.min() >= EXPECTED:
        freedom = (table.shape[0] - 1) * (table.shape[1] - 1)
        p = min(stats.chi2.sf(float(((table - expected) ** 2 / expected).sum()), freedom), stats.norm.sf(agreement))
        return Dependence(min(1.0, 2 * float(p)), agreement)
    return Dependence(_permuted(label, predicted, expected), agreement)


def _agreement(rows: Floats, columns: Floats, right: float) -> float:
    """Right predictions less their mean when labels are permuted, over their standard deviation."""
    texts = rows.sum()
    both = rows * columns
    mean = both.sum() / texts
    variance = mean + (both * (rows - 1) * (columns - 1)).sum() / texts / max(1.0, texts - 1)
    cross = both.sum() ** 2 - (both**2).sum()
    # Two texts of different labels, predicted as those: sums over unequal pairs of classes.
    variance += cross / texts / max(1.0, texts - 1) - mean**2
    return float((right - mean) / np.sqrt(variance)) if variance > 1e-9 else 0.0


def _permuted(label: Ints, predicted: Ints, expected: Floats) -> float:
    rng = np.random.default_rng(SEED)
    rows, columns = (np.unique(each, return_inverse=True)[1] for each in (label, predicted))
    inverse = 1 / expected.ravel()
    statistics = np.empty((PERMUTATIONS + 1, 2))
    order = np.arange(len(label))
    for i in range(PERMUTATIONS + 1):
        table = np.bincount(rows[order] * expected.shape[1] + columns, minlength=expected.size)
        statistics[i] = (table * table * inverse).sum(), (label[order] == predicted).sum()
        order = rng.permutation(len(label))
    smaller = np.min([_upper_p(column) for column in statistics.T], axis=0)
    return float((smaller <= smaller[0]).mean())


def _upper_p(values: Floats) -> Floats:
    """For each value the share of values that are at least as large."""
    ordered = np.sort(values)
    return 1 - np.searchsorted(ordered, values - 1e-9 * np.abs(values), side="left") / len(values)
