"""Which method to take: the cheapest that is shown to lie close to the best, else the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thriftune.analysis.statistics.best_set import Compared, compare
from thriftune.analysis.statistics.inference import Difference, Ints, Measured
from thriftune.analysis.statistics.spreads import SeedSpread

TOLERANCE = 0.01
"""How far below the best a cheaper method may lie: a point of accuracy."""
MARGIN = 0.005
"""Differences within it are too small to matter."""


@dataclass(frozen=True)
class Choice:
    """What to take of several methods, each by its index."""

    chosen: int
    best: int
    """The highest score; the first of equal ones."""
    close: list[int]
    """Those that may be taken instead of the best, which is one of them; in the order of their costs."""
    compared: Compared
    """Each against the best of the others."""

    @property
    def below_at_most(self) -> float:
        """The chosen one lies at most this far below the best, whichever that is."""
        return self.compared.methods[self.chosen].below_at_most

    def to_best(self, index: int) -> Difference | None:
        """A method minus that with the highest score, with its own interval; None for the latter."""
        return self.compared.differences.get((index, self.best))


def choose(
    methods: Sequence[Measured],
    costs: Sequence[tuple[float, ...]],
    tolerance: float = TOLERANCE,
    margin: float = MARGIN,
    level: float = 0.95,
    groups: Ints | None = None,
    weight: float = 0.0,
    spreads: Sequence[SeedSpread] | None = None,
) -> Choice:
    """The cheapest method that is close to the best: the lower bound of its lag lies above minus the tolerance.

    `costs` order the methods, the cheapest first; infinity where a cost is not known. `weight` and `spreads` are those
    of `compare`.
    The bounds are those against the best of the others (Hsu, 1984; `best_set`), which hold for whichever method is
    taken and whichever is the best: a plain paired interval against the highest score would not. What is shown to be
    worse than some other method by more than the margin allows is not close, whatever the tolerance, so that no verdict
    contradicts the choice.
    """
    compared = compare(methods, level, groups, weight, spreads)
    every = range(len(methods))
    best = max(every, key=lambda i: (methods[i].scores.mean(), -i))
    close = [
        i for i in every if i == best or (compared.methods[i].low > -tolerance and not _worse(compared, i, margin))
    ]
    close.sort(key=lambda i: (costs[i], -methods[i].scores.mean()))
    return Choice(close[0], best, close, compared)


def _worse(compared: Compared, index: int, margin: float) -> bool:
    """Whether some pair's verdict could call it worse, with or without an adjustment for several pairs."""
    return any(
        each.interval(0.95)[1] < 0 and each.interval(0.9)[0] <= -margin
        for (first, _), each in compared.differences.items()
        if first == index
    )
