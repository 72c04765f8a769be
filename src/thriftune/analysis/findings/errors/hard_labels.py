"""Labels whose texts are got wrong far more often than the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.errors.error_matrix import Mask, error_matrix
from thriftune.analysis.findings.groups import groups_of
from thriftune.analysis.findings.memo import once
from thriftune.analysis.statistics.basics import Floats, wilson
from thriftune.analysis.statistics.clustered import accuracy
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.store import Results

LEVEL = 0.95
FAR = 1.25
"""A rate that is not so many times that of the other texts is not far above it."""
NAMED = 3
"""Labels that the sentence names."""


@dataclass(frozen=True)
class LabelErrors:
    """How often the texts of one label are got wrong, on average over the methods that learned."""

    label: str
    texts: int
    rate: float
    low: float
    high: float
    """Ends of the rate's 95% interval over texts."""
    others: float
    """The rate of all other texts."""
    hard: bool
    """Whether the rate lies far above that of the others, and beyond chance with all labels looked at together."""


@once
def label_errors(results: Results) -> list[LabelErrors]:
    """Every label that has test texts, the highest error rate first; empty where no run learned.

    Intervals are Wilson's (1927), of clustered texts those of `clustered.accuracy`. A label is hard where its rate is
    at least `FAR` times that of the other texts and the difference lies above 0 at one-sided 5% over the number of
    labels (Agresti and Caffo, 2000, at the number of unrelated texts).
    """
    matrix = error_matrix(results)
    if matrix is None:
        return []
    wrong = np.mean([matrix.wrong[method.rows].mean(axis=0) for method in matrix.methods], axis=0)
    groups = groups_of(results)
    present = [i for i in range(len(results.labels)) if (matrix.label == i).any()]
    limit = NormalDist().inv_cdf(1 - (1 - LEVEL) / max(1, len(present)))
    out = []
    for i in present:
        inside = matrix.label == i
        mine, rest = (_Rate.of(wrong, mask, groups) for mask in (inside, ~inside))
        hard = bool(rest.texts) and mine.rate >= FAR * rest.rate and mine.above(rest) > limit
        low, high = mine.interval
        out.append(LabelErrors(results.labels[i], mine.texts, mine.rate, low, high, rest.rate, hard))
    return sorted(out, key=lambda each: -each.rate)


@dataclass(frozen=True)
class _Rate:
    """A mean error rate of some texts; of several runs a text counts by the share of them that erred."""

    texts: int
    rate: float
    effective: float
    """Unrelated texts, right or wrong, that would tell as much."""
    interval: tuple[float, float]

    @classmethod
    def of(cls, wrong: Floats, mask: Mask, groups: Ints | None) -> _Rate:
        values = wrong[mask]
        if not len(values):
            return cls(0, 0.0, 0.0, (0.0, 1.0))
        rate, number = float(values.mean()), len(values)
        if groups is None:
            effect, ends = 1.0, wilson(round(rate * number), number, LEVEL)
        else:
            own = np.unique(groups[mask], return_inverse=True)[1]
            found = accuracy(values, own, LEVEL)
            effect, ends = found.design_effect, (found.low, found.high)
        spread = float(values.var())
        effective = number * (rate * (1 - rate) / spread if spread else 1.0) / effect
        return cls(number, rate, effective, ends)

    def above(self, other: _Rate) -> float:
        """How many standard errors the rate lies above another."""
        rates = [(each.rate * each.effective + 1) / (each.effective + 2) for each in (self, other)]
        variance = sum(p * (1 - p) / (each.effective + 2) for p, each in zip(rates, (self, other), strict=True))
        return (rates[0] - rates[1]) / math.sqrt(variance)


def sentences(results: Results) -> list[str]:
    """The labels that stand out, in a sentence; none where none does."""
    found = label_errors(results)
    hard = [each for each in found if each.hard]
    rest = [each for each in found if not each.hard]
    if not hard:
        return []
    if len(hard) == 1:
        one = hard[0]
        text = f"Texts labelled {one.label} are wrong in {f.percent(one.rate)} ({f.plural(one.texts, 'text')}, 95% "
        text += f"interval {f.percent_range(one.low, one.high)}), far above "
        if len(rest) == 1:
            return [f"{text}the {f.percent(rest[0].rate)} of those labelled {rest[0].label}."]
        return [f"{text}the other labels' {f.percent_range(rest[-1].rate, rest[0].rate)}."]
    named = f.listing([f"{each.label} ({f.percent(each.rate)} of {each.texts:,} wrong)" for each in hard], NAMED + 1)
    others = f" (others {f.percent_range(rest[-1].rate, rest[0].rate)})" if rest else ""
    return [f"{len(hard)} of {len(found)} labels are far harder than the rest{others}: {named}."]
