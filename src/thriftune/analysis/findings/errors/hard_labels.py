"""Labels whose texts are got wrong far more often than the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thriftune import wording as f
from thriftune.analysis.findings.errors.error_matrix import error_matrix
from thriftune.analysis.findings.memo import once
from thriftune.analysis.statistics.basics import wilson
from thriftune.analysis.statistics.clustered import accuracy
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.store import Results

LEVEL = 0.95
NAMED = 3
"""Labels that the sentence names."""


@dataclass(frozen=True)
class LabelErrors:
    """How often the texts of one label are got wrong, on average over the runs that learned."""

    label: str
    texts: int
    rate: float
    low: float
    high: float
    """Ends of the rate's 95% interval over texts."""
    others: float
    """The rate of all other texts."""
    hard: bool
    """Whether the rate lies above that of the others by more than both intervals, all labels looked at together."""


@once
def label_errors(results: Results) -> list[LabelErrors]:
    """Every label that has test texts, the highest error rate first; empty where no run learned.

    Intervals are Wilson's (1927), of clustered texts those of `clustered.accuracy`. A label is hard where its
    interval at 1 - 5% over the number of labels lies above the 95% interval of all other texts.
    """
    matrix = error_matrix(results)
    if matrix is None:
        return []
    wrong = np.mean([matrix.wrong[method.rows].mean(axis=0) for method in matrix.methods], axis=0)
    groups = _groups(results)
    present = [i for i in range(len(results.labels)) if (matrix.label == i).any()]
    strict = 1 - (1 - LEVEL) / max(1, len(present))
    out = []
    for i in present:
        inside = matrix.label == i
        rate, low, high = _interval(wrong[inside], None if groups is None else groups[inside], LEVEL)
        if inside.all():
            out.append(LabelErrors(results.labels[i], int(inside.sum()), rate, low, high, rate, False))
            continue
        others, _, above = _interval(wrong[~inside], None if groups is None else groups[~inside], LEVEL)
        _, least, _ = _interval(wrong[inside], None if groups is None else groups[inside], strict)
        out.append(LabelErrors(results.labels[i], int(inside.sum()), rate, low, high, others, least > above))
    return sorted(out, key=lambda each: -each.rate)


def _interval(wrong: np.ndarray, groups: Ints | None, level: float) -> tuple[float, float, float]:
    """A mean error rate with its interval; `wrong` holds each text's share of runs, shape (texts,)."""
    rate = float(wrong.mean())
    if groups is None:
        return rate, *wilson(round(rate * len(wrong)), len(wrong), level)
    found = accuracy(wrong, np.unique(groups, return_inverse=True)[1], level)
    return rate, found.low, found.high


def _groups(results: Results) -> Ints | None:
    return None


def sentences(results: Results) -> list[str]:
    """The labels that stand out, in a sentence; none where none does."""
    found = label_errors(results)
    hard = [each for each in found if each.hard]
    if not hard:
        return []
    if len(found) == 2:
        easy = next(each for each in found if not each.hard)
        return [f"{_rated(hard[0])}, texts labelled {easy.label} in {f.percent(easy.rate)}."]
    rest = [each for each in found if not each.hard]
    text = f"Far harder than the others: {f.listing([_short(each) for each in hard[:NAMED]])}"
    if len(hard) > NAMED:
        text += f", and {f.plural(len(hard) - NAMED, 'more label')}"
    if len(hard) == 1:
        text = f"{_rated(hard[0])}, far above the other labels"
    spread = f.percent_range(min(each.rate for each in rest), max(each.rate for each in rest)) if rest else ""
    return [f"{text} ({'the others' if len(hard) > 1 else 'they'} {spread})." if spread else f"{text}."]


def _short(each: LabelErrors) -> str:
    return f"{each.label} ({f.percent(each.rate)} of {each.texts:,} wrong)"


def _rated(each: LabelErrors) -> str:
    return (
        f"Texts labelled {each.label} are wrong in {f.percent(each.rate)} of {f.plural(each.texts, 'case')} "
        f"(95% interval {f.percent_range(each.low, each.high)})"
    )
