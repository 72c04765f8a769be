"""How far runs of a method lie apart by their seeds: decided once for all methods that are compared.

Three seeds tell a spread with two degrees of freedom, with which little is ever told apart; the methods of a study
together tell it far better, where they spread alike.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from thriftune.analysis.statistics.inference import Measured

POOLING_LEVEL = 0.1
"""Three methods or more share one spread unless Bartlett's test at this level tells their spreads apart."""
TWO_LEVEL = 0.25
"""Two methods do at this level (Bancroft, 1964): there is little to gain."""


@dataclass(frozen=True)
class SeedSpread:
    """The variance over seeds of one method's score, and what it rests on."""

    variance: float
    """Of one run; 0 where another seed would give the same."""
    freedom: float
    """Degrees of freedom; infinite where there is no such variance."""
    pool: int | None = None
    """Methods with the same number rest on one estimate; None where a method's own runs are all."""
    methods: int = 1
    """How many of them."""


def seed_spreads(methods: Sequence[Measured], models: Sequence[Hashable] | None = None) -> list[SeedSpread]:
    """The spread of each method, decided once for each model; `models` names that of each (None: all of one).

    The repeated methods of a model share the mean of their variances, each weighted by its degrees of freedom. Where
    their spreads differ (Bartlett, 1937), each of three or more has the larger of its own and the common one, with half
    the degrees of freedom (its own alone would leave one or two), and each of two its own (Welch, 1947). Methods that
    stand alone on their models share a spread between them. Never below what single texts' chance alone explains.
    """
    of = list(models) if models is not None else [None] * len(methods)
    seeded = [i for i, each in enumerate(methods) if not each.deterministic and each.seeds > 1]
    alone = [i for i in seeded if [of[j] for j in seeded].count(of[i]) == 1]
    pools: dict[Hashable, list[int]] = {}
    for i in seeded:
        pools.setdefault(("alone",) if i in alone else ("model", of[i]), []).append(i)
    found = [SeedSpread(0.0, math.inf)] * len(methods)
    for number, members in enumerate(pools.values()):
        for i, spread in zip(members, _shared([methods[i] for i in members], number), strict=True):
            found[i] = spread
    return found


def _shared(members: Sequence[Measured], number: int) -> list[SeedSpread]:
    own = [SeedSpread(max(each.spread, each.floor), each.seeds - 1) for each in members]
    p = bartlett([each.spread for each in members], [each.seeds - 1 for each in members])
    alike = p >= (TWO_LEVEL if len(members) == 2 else POOLING_LEVEL)
    if len(members) == 1 or (len(members) == 2 and not alike):
        return own
    freedom = float(sum(each.freedom for each in own))
    common = sum((each.seeds - 1) * each.spread for each in members) / freedom
    return [
        SeedSpread(
            max(common, each.floor, 0.0 if alike else each.spread),
            freedom if alike else freedom / 2,
            number,
            len(members),
        )
        for each in members
    ]


def bartlett(variances: Sequence[float], freedoms: Sequence[float]) -> float:
    """The p value of equal variances (Bartlett, 1937), each with its degrees of freedom; 1 for one variance, or where
    none is above 0; 0 where only some are.
    """
    v, f = np.asarray(variances, dtype=np.float64), np.asarray(freedoms, dtype=np.float64)
    if len(v) < 2 or v.max() == 0:
        return 1.0
    if v.min() == 0:
        return 0.0
    total = f.sum()
    statistic = total * np.log(f @ v / total) - f @ np.log(v)
    scale = 1 + ((1 / f).sum() - 1 / total) / (3 * (len(v) - 1))
    return float(stats.chi2.sf(statistic / scale, len(v) - 1))


def freedom_of(first: SeedSpread, second: SeedSpread, seeds: tuple[int, int]) -> float:
    """Degrees of freedom of the two variances over their numbers of seeds, added: those of the estimate that both rest
    on, else Satterthwaite's (1946).
    """
    if first.pool is not None and first.pool == second.pool:
        return first.freedom
    parts = [(each.variance / number, each.freedom) for each, number in zip((first, second), seeds, strict=True)]
    known = [(part, freedom) for part, freedom in parts if math.isfinite(freedom)]
    below = sum(part**2 / freedom for part, freedom in known)
    if below == 0:
        return min((freedom for _, freedom in known), default=math.inf)
    return sum(part for part, _ in known) ** 2 / below
