"""Which differences a study tells apart: before it runs from its plan, afterwards from its measured error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import optimize, stats

from thriftune.analysis.statistics.inference import PSEUDO_TEXTS, Difference

POWER = 0.8
LEVEL = 0.95


@dataclass(frozen=True)
class Plan:
    """What a comparison of two methods rests on."""

    texts: int
    seeds: int
    """Of each method; with one, the difference is that of two trained models."""
    disagreement: float
    """Share of the texts that exactly one of two models of the two methods gets right."""
    seed_spread: float = 0.0
    """Standard deviation over seeds of a model's true accuracy, as a share: 0.005 is half a point."""
    seed_disagreement: float | None = None
    """The same share for two seeds of one method; None: as much as for two methods."""
    methods: int = 2
    """Methods whose seeds estimate the spread together."""


def detectable(plan: Plan, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest true difference (a share) that the plan's study calls better or worse with a chance of `power`.

    The confidence level is that of the interval that decides: 0.95 for one pair, closer to 1 for several. The test is
    Student's with Satterthwaite's (1946) degrees of freedom, as in `inference`; its power is that of the noncentral t.
    """
    error, freedom = _error(plan)
    return _needed(freedom, level, power) * error


def detectable_after(difference: Difference, level: float = LEVEL, power: float = POWER) -> float:
    """The same, from the error that a study measured: true differences from about this size on are told apart."""
    return _needed(difference.freedom, level, power) * difference.error


def largest(difference: Difference, level: float = LEVEL) -> float:
    """The two methods differ by at most this much: the end of the interval that is further from 0."""
    return max(abs(end) for end in difference.interval(level))


def _error(plan: Plan) -> tuple[float, float]:
    within = plan.disagreement if plan.seed_disagreement is None else min(plan.seed_disagreement, plan.disagreement)
    total = plan.texts + PSEUDO_TEXTS
    pseudo = PSEUDO_TEXTS / total**2
    if plan.seeds == 1:
        return math.sqrt(plan.disagreement / total + pseudo), math.inf
    text_part = (plan.disagreement - within) / total + pseudo
    seed_part = 2 * (plan.seed_spread**2 + within / 2 / plan.texts) / plan.seeds
    freedom = plan.methods * (plan.seeds - 1) * ((text_part + seed_part) / seed_part) ** 2 if seed_part else math.inf
    return math.sqrt(text_part + seed_part), freedom


def _needed(freedom: float, level: float, power: float) -> float:
    """How many standard errors a true difference must be worth."""
    critical = float(stats.t.ppf(0.5 + level / 2, freedom))
    if math.isinf(freedom):
        return critical + float(stats.norm.ppf(power))
    return float(optimize.brentq(lambda size: stats.nct.sf(critical, freedom, size) - power, 0.0, 3 * critical + 5))
