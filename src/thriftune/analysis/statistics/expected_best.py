"""What the best of so many trials is expected to score (Dodge et al., 2019, arXiv:1909.03004)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thriftune.analysis.statistics.basics import Floats
from thriftune.results.search import CellSearch

LEVEL = 0.9
"""Of the searches with so many trials, the share whose best lies in the interval."""


@dataclass(frozen=True)
class Best:
    """The best of k trials, over all searches of k trials."""

    trials: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Curve:
    """A method's trials as draws: what the best of k of them scores."""

    cell: CellSearch
    scores: Floats
    """More is better; a loss is negative."""

    @property
    def name(self) -> str:
        """The cell's."""
        return self.cell.cell

    @property
    def trials(self) -> int:
        """How many there were."""
        return len(self.scores)

    @property
    def seconds(self) -> float:
        """What a trial took, on average."""
        return self.cell.seconds / self.trials

    def best(self, trials: int) -> Best:
        """Of so many trials, in the score's own sign."""
        found = expected_best(self.scores, trials)
        if self.cell.select != "loss":
            return found
        return Best(trials, -found.mean, -found.high, -found.low)

    def gain(self, before: int, after: int) -> float:
        """How much better the best of `after` trials is expected to be than that of `before`."""
        return expected_best(self.scores, after).mean - expected_best(self.scores, before).mean


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


def curve_of(cell: CellSearch) -> Curve | None:
    """A cell's trials as draws; None where none has a score.

    A pruned trial counts with its best score before it was ended, one without a score as the lowest of the others.
    """
    sign = -1 if cell.select == "loss" else 1
    known = [sign * trial.score for trial in cell.trials if trial.score is not None]
    if not known:
        return None
    scores = [min(known) if trial.score is None else sign * trial.score for trial in cell.trials]
    return Curve(cell, np.array(scores))
