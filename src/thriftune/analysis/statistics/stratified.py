"""Whether errors are more frequent among some texts than among the others of the same label."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_matrix
from scipy.special import gammaln

from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.enrichment import adjusted
from thriftune.analysis.statistics.inference import Ints

LEVEL = 0.05
ROOM = 5.0
"""The normal distribution serves where the errors could be so many fewer and more (Mantel and Fleiss, 1980)."""
PLAIN = 0.1
"""A p value above it is left as the normal distribution has it."""
CHUNK = 1_000_000
"""Numbers of one array that are compared at once."""


@dataclass(frozen=True)
class Stratified:
    """Groups of texts against the rest of their label; every array has the same shape."""

    texts: NDArray[np.int64]
    errors: NDArray[np.int64]
    rate: Floats
    """Errors over texts; 0 where there are none."""
    expected: Floats
    """The rate that the labels alone would give: each label's own, weighted by the group's labels."""
    overall: Floats
    """Of all texts."""
    odds_ratio: Floats
    """Common over the labels (Mantel and Haenszel, 1959); nan where it is not defined."""
    odds_low: Floats
    odds_high: Floats
    """Ends of its 95% interval (Robins, Breslow and Greenland, 1986)."""
    difference: Floats
    """In rates, common over the labels (Mantel-Haenszel weights); nan where a label is never both in and out."""
    difference_low: Floats
    difference_high: Floats
    """Ends of its 95% interval (Sato, 1989)."""
    p: Floats
    """One-sided p value of at least so many errors; 1 where a group holds labels whole."""

    def __getitem__(self, index: Any) -> Stratified:
        """Some of the groups."""
        return Stratified(*(np.asarray(getattr(self, name))[index] for name in self.__dataclass_fields__))

    @property
    def elsewhere(self) -> Floats:
        """The rate of other texts with a group's labels: its own less the difference; nan where that is not defined."""
        return np.clip(self.rate - self.difference, 0.0, 1.0)

    @property
    def adjusted_p(self) -> Floats:
        """Benjamini and Hochberg's (1995) over all groups, which have to be one-dimensional."""
        return adjusted(self.p)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Which have more errors than their labels explain, and a rate above that of all texts."""
        return self.found_at(LEVEL)

    def found_at(self, level: float) -> NDArray[np.bool_]:
        """The same at another false discovery rate."""
        return np.asarray((self.adjusted_p <= level) & (self.rate > self.overall))


Counted = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Errors and texts of groups, shape (groups, labels), and those of all texts, shape (labels,)."""


def by_label(masks: NDArray[np.bool_], wrong: NDArray[np.bool_], label: NDArray[np.int64], classes: int) -> Counted:
    """What `stratified` takes, counted: `masks` has shape (groups, texts), `wrong` and `label` (texts,).

    Errors and texts of the groups by label, of shape (groups, classes), and those of all texts, of shape (classes,).
    """
    of_label = np.zeros((len(label), classes), dtype=np.float32)
    of_label[np.arange(len(label)), label] = 1
    of_error = of_label * wrong[:, None]
    inside = masks.astype(np.float32)
    found = inside @ of_error, inside @ of_label, of_error.sum(axis=0), of_label.sum(axis=0)
    errors, texts, all_errors, all_texts = (np.rint(each).astype(np.int64) for each in found)
    return errors, texts, all_errors, all_texts


def many(errors: NDArray[np.int64], texts: NDArray[np.int64], all_errors: Any, all_texts: Any) -> Stratified:
    """As `stratified` of arrays of shape (groups, labels), part by part, for many groups and labels.

    Only p values near a finding are exact where the counts are small.
    """
    step = max(1, CHUNK // max(1, errors.shape[-1]))
    a, n, m, N = (np.broadcast_to(np.asarray(each), errors.shape) for each in (errors, texts, all_errors, all_texts))
    parts = [
        stratified(a[at : at + step], n[at : at + step], m[at : at + step], N[at : at + step], plain=LEVEL / 5)
        for at in range(0, max(1, len(errors)), step)
    ]
    names = Stratified.__dataclass_fields__
    return Stratified(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def stratified(errors: Any, texts: Any, all_errors: Any, all_texts: Any, plain: float = PLAIN) -> Stratified:
    """Compares groups to the other texts, label by label; the last axis of the arrays is the label, they broadcast.

    `errors` and `texts` count a group's, `all_errors` and `all_texts` the whole population's, the group included. A
    label that is hard as a whole makes no group of its texts stand out. p: the test of Mantel and Haenszel (1959) with
    their correction; where the counts are too small for it, the exact conditional distribution, which is that of a
    sum of hypergeometric numbers.
    """
    a, n, m, N = (
        each.astype(np.float64)
        for each in np.broadcast_arrays(*map(np.asarray, (errors, texts, all_errors, all_texts)))
    )
    b, c = n - a, m - a
    d = N - n - c
    own = np.where(N > 0, N, 1)
    mean = n * m / own
    variance = n * m * (N - n) * (N - m) / (own**2 * np.where(N > 1, N - 1, 1))
    excess, spread = (a - mean).sum(axis=-1), np.sqrt(variance.sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(spread > 0, stats.norm.sf((excess - 0.5) / spread), 1.0)
        odds = _odds(a, b, c, d, own)
        risk = _risk(a, b, c, d, n, N - n, own)
        total = n.sum(axis=-1)
        rate, expected = (np.where(total > 0, each.sum(axis=-1) / total, 0.0) for each in (a, mean))
        everything = N.sum(axis=-1)
        overall = np.broadcast_to(np.where(everything > 0, m.sum(axis=-1) / everything, 0.0), rate.shape)
    sums = mean.sum(axis=-1)
    fewest, most = np.maximum(0, n + m - N).sum(axis=-1), np.minimum(n, m).sum(axis=-1)
    small = (np.minimum(sums - fewest, most - sums) < ROOM) & (spread > 0) & (p < plain)
    for index in np.argwhere(small):
        at = tuple(index)
        p[at] = _exact(a[at].sum(), *(each[at].astype(np.int64) for each in (n, m, N)))
    return Stratified(total.astype(np.int64), a.sum(axis=-1).astype(np.int64), rate, expected, overall, *odds, *risk, p)


def _odds(a: Floats, b: Floats, c: Floats, d: Floats, own: Floats) -> tuple[Floats, Floats, Floats]:
    first, second = a * d / own, b * c / own
    up, down = (a + d) / own, (b + c) / own
    r, s = first.sum(axis=-1), second.sum(axis=-1)
    ratio = r / s
    variance = (up * first).sum(axis=-1) / (2 * r**2) + (down * second).sum(axis=-1) / (2 * s**2)
    variance += (up * second + down * first).sum(axis=-1) / (2 * r * s)
    reach = stats.norm.ppf(0.975) * np.sqrt(variance)
    return ratio, ratio * np.exp(-reach), ratio * np.exp(reach)


def _risk(
    a: Floats, b: Floats, c: Floats, d: Floats, n: Floats, rest: Floats, own: Floats
) -> tuple[Floats, Floats, Floats]:
    weight = (n * rest / own).sum(axis=-1)
    difference = ((a * rest - c * n) / own).sum(axis=-1) / weight
    first = ((n**2 * c - rest**2 * a + n * rest * (rest - n) / 2) / own**2).sum(axis=-1)
    second = ((a * (rest - c) + c * (n - a)) / (2 * own)).sum(axis=-1)
    reach = stats.norm.ppf(0.975) * np.sqrt((difference * first + second) / weight**2)
    return difference, difference - reach, difference + reach


def _exact(errors: float, n: NDArray[np.int64], m: NDArray[np.int64], whole: NDArray[np.int64]) -> float:
    """The chance of at least so many errors in a group, given each label's errors and texts."""
    distribution, start = np.ones(1), 0
    for texts, wrong, all_texts in zip(n, m, whole, strict=True):
        low, high = max(0, texts + wrong - all_texts), min(texts, wrong)
        if high == 0:
            continue
        start += low
        k = np.arange(low, high + 1)
        ways = _log_choose(wrong, k) + _log_choose(all_texts - wrong, texts - k) - _log_choose(all_texts, texts)
        distribution = np.convolve(distribution, np.exp(ways))
    return float(min(1.0, distribution[max(0, round(errors) - start) :].sum()))


def _log_choose(total: Any, chosen: Any) -> Floats:
    return np.asarray(gammaln(total + 1) - gammaln(chosen + 1) - gammaln(total - chosen + 1))


def design_effects(held: Any, wrong: NDArray[np.bool_], label: Ints, groups: Ints) -> Floats:
    """How many times the variance of each column's excess of errors is that of unrelated texts, at least 1.

    Texts of one group (one premise, one author) are right or wrong together and hold the same words. The variance is
    that of a sum over groups that are drawn at random (Liang and Zeger, 1986).

    `held` has shape (texts, columns), dense or sparse, zeros and ones; `wrong`, `label` and `groups` (texts,), labels
    and groups from 0. The excess is the sum of (x - the label's mean x) times (error - the label's error rate).
    """
    texts, classes = len(label), int(label.max(initial=0)) + 1
    x = csr_matrix(held, dtype=np.float64)
    of_label = csr_matrix((np.ones(texts), (np.arange(texts), label)), shape=(texts, classes))
    support = np.maximum(np.asarray(of_label.sum(axis=0)).ravel(), 1)
    means = np.asarray((of_label.T @ x).todense()) / support[:, None]
    left = wrong - (of_label.T @ wrong / support)[label]

    def variance(rows: csr_matrix) -> Floats:
        """Of sums over the rows of texts: the squares of what the texts with x have, less what their labels have."""
        mine, labels = rows @ x.multiply(left[:, None]).tocsr(), rows @ of_label.multiply(left[:, None]).tocsr()
        across = np.asarray((labels.T @ mine).todense())
        square = np.asarray((labels.T @ labels).todense())
        own = np.asarray(mine.multiply(mine).sum(axis=0)).ravel()
        return np.asarray(own - 2 * (means * across).sum(axis=0) + (means * (square @ means)).sum(axis=0))

    together = csr_matrix((np.ones(texts), (groups, np.arange(texts))))
    alone = csr_matrix((np.ones(texts), (np.arange(texts), np.arange(texts))))
    plain = variance(alone)
    return np.maximum(1.0, np.divide(variance(together), plain, out=np.ones(len(plain)), where=plain > 1e-12))


def for_groups(numbers: Stratified, effects: Floats, groups: int) -> Stratified:
    """The comparisons with p values (Student's t on the groups less one) and intervals as wide as groups make them."""
    stretch = np.sqrt(effects)
    z = stats.norm.isf(np.clip(numbers.p, 1e-300, 1.0))
    p = np.where(z > 0, np.maximum(numbers.p, stats.t.sf(z / stretch, max(1, groups - 1))), numbers.p)
    low = numbers.difference - (numbers.difference - numbers.difference_low) * stretch
    high = numbers.difference + (numbers.difference_high - numbers.difference) * stretch
    with np.errstate(divide="ignore", invalid="ignore"):
        odds_low = numbers.odds_ratio * (numbers.odds_low / numbers.odds_ratio) ** stretch
        odds_high = numbers.odds_ratio * (numbers.odds_high / numbers.odds_ratio) ** stretch
    return replace(numbers, p=p, difference_low=low, difference_high=high, odds_low=odds_low, odds_high=odds_high)
