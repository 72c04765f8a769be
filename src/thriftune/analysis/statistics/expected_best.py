"""What the best of so many trials is expected to score (Dodge et al., 2019, arXiv:1909.03004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thriftune.analysis.statistics.basics import Floats

LEVEL = 0.9
"""Of the searches with so many trials, the share whose best lies in the interval."""


@dataclass(frozen=True)
class Best:
    """The best of k trials, over all searches of k trials."""

    trials: int
    mean: float
    low: float
    high: float


def expected_best(scores: Floats, trials: int) -> Best:
    """The expected maximum of k draws from the scores that were seen, each as likely as the others, and its middle 90%.

    More is better. The maximum of k draws is at most the i-th smallest of n scores with probability (i / n)^k, which
    gives mean and quantiles exactly.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    at_most = (np.arange(len(ordered) + 1) / len(ordered)) ** trials
    mean = float((ordered * np.diff(at_most)).sum())
    tail = (1 - LEVEL) / 2
    ends = [int(np.searchsorted(at_most[1:], q - 1e-12)) for q in (tail, 1 - tail)]
    return Best(trials, mean, float(ordered[ends[0]]), float(ordered[ends[1]]))


def budgets(trials: int, most: int = 100) -> list[int]:
    """Numbers of trials from 1 up to `trials`, at most so many of them, evenly spread."""
    return sorted({round(k) for k in np.linspace(1, trials, min(trials, most))})
