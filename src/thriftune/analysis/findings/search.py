"""What a study's search found: each method's trials as draws, and a line on each for the terminal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thriftune import wording as f
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.expected_best import Best, expected_best
from thriftune.metrics import sign
from thriftune.results.search import CellSearch
from thriftune.results.store import Results


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
        return found if sign(self.cell.select) > 0 else Best(trials, -found.mean, -found.high, -found.low)

    def gain(self, before: int, after: int) -> float:
        """How much better the best of `after` trials is expected to be than that of `before`."""
        return expected_best(self.scores, after).mean - expected_best(self.scores, before).mean


def curve_of(cell: CellSearch) -> Curve | None:
    """A cell's trials as draws; None where none has a score.

    A pruned trial counts with its best score before it was ended, one without a score as the lowest of the others.
    """
    scores = [None if trial.score is None else sign(cell.select) * trial.score for trial in cell.trials]
    lowest = min((score for score in scores if score is not None), default=None)
    if lowest is None:
        return None
    return Curve(cell, np.array([lowest if score is None else score for score in scores]))


def lines(results: Results) -> list[str]:
    """One line for each method that was searched: trials, best score, settings and cost."""
    if results.search is None:
        return []
    return [
        f"{cell.cell}: best {f.select_score(best.score, cell.select)} on validation with {f.settings(best.params)}; "
        f"{f.plural(len(cell.trials), 'trial')} in {f.seconds(cell.seconds)}, no part of its Time."
        for cell in results.search.cells
        if (best := cell.best) is not None and best.score is not None
    ]
