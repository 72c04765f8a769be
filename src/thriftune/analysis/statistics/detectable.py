"""Which differences a study tells apart: before it runs from its plan, afterwards from its measured error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from thriftune.analysis.statistics.clustered import clustered_difference
from thriftune.analysis.statistics.inference import (
    PSEUDO_TEXTS,
    Difference,
    Ints,
    Measured,
    difference,
)
from thriftune.analysis.statistics.spreads import freedom_of, seed_spreads

POWER = 0.8
LEVEL = 0.95
DRAWS = 400
"""Spreads over seeds that a study may come to see; always the same ones."""
SEED = 20


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
    """Methods whose seeds may estimate the spread together."""
    design_effect: float = 1.0
    """How many times the variance over texts is that of unrelated ones, where texts belong together."""
    groups: int | None = None
    """Groups of texts; None where each stands for itself."""


@dataclass(frozen=True)
class _Seeds:
    """One method's runs as they are drawn: how many, and the variance of their scores."""

    number: int
    variance: float
    floor: float
    deterministic: bool = False


def detectable(plan: Plan, level: float = LEVEL, power: float = POWER) -> float:
    """The smallest true difference (a share) that the plan's study calls better or worse with a chance of `power`.

    The confidence level is that of the interval that decides: 0.95 for one pair, closer to 1 for several.
    """
    within = plan.disagreement if plan.seed_disagreement is None else min(plan.seed_disagreement, plan.disagreement)
    total = plan.texts / plan.design_effect + PSEUDO_TEXTS
    pseudo = PSEUDO_TEXTS / total**2
    freedom = math.inf if plan.groups is None else max(1, plan.groups - 1)
    if plan.seeds == 1:
        return _alone(math.sqrt(plan.disagreement / total + pseudo), freedom, level, power)
    floor = within / 2 / plan.texts
    each = _Seeds(plan.seeds, plan.seed_spread**2 + floor, floor)
    of_means = plan.disagreement - within * (1 - 1 / plan.seeds)
    text_part = max(0.0, of_means / total - within / plan.seeds / (plan.texts + PSEUDO_TEXTS)) + pseudo
    return _found(text_part, freedom, [each] * 2, [each] * (plan.methods - 2), level, power)


def detectable_after(
    first: Measured,
    second: Measured,
    others: Sequence[Measured] = (),
    level: float = LEVEL,
    power: float = POWER,
    groups: Ints | None = None,
) -> float:
    """The same from what a study measured: it tells apart true differences from about this size on.

    `groups` holds the group of each text where texts belong together.
    """
    found = difference(first, second, others)
    if groups is not None:
        found = clustered_difference(first, second, groups, others)
    freedom = math.inf if groups is None else max(1, int(groups.max()))
    if not found.repeated:
        return _alone(found.error, freedom, level, power)
    methods = [first, second, *others]
    one, other, *rest = [_seeds(each, s.variance) for each, s in zip(methods, seed_spreads(methods), strict=True)]
    return _found(found.text_part, freedom, [one, other], rest, level, power)


def largest(found: Difference, level: float = LEVEL) -> float:
    """The two methods differ by at most this much: the end of the interval that is further from 0."""
    return max(abs(end) for end in found.interval(level))


def _seeds(method: Measured, variance: float) -> _Seeds:
    return _Seeds(method.seeds, variance, method.floor, method.deterministic)


def _alone(error: float, freedom: float, level: float, power: float) -> float:
    """Of two trained models."""
    return error * float(stats.t.ppf(0.5 + level / 2, freedom) + stats.norm.ppf(power))


def _found(
    text_part: float, text_freedom: float, pair: list[_Seeds], others: list[_Seeds], level: float, power: float
) -> float:
    """The difference at which the interval excludes 0 with the given chance, over the spreads that seeds may show.

    Few seeds show a spread far from the true one, and whether methods share theirs is decided from them: both make
    intervals that are wider or narrower than the truth asks. So spreads are drawn (chi-square about the true ones)
    and judged as a study does (`spreads.seed_spreads`); given those, the chance is normal.
    """
    rng = np.random.default_rng(SEED)
    reaches = np.array([_reach(rng, text_part, text_freedom, pair, others, level) for _ in range(DRAWS)])
    error = math.sqrt(text_part + sum(each.variance / each.number for each in pair if not each.deterministic))
    if error == 0:
        return 0.0

    def missing(size: float) -> float:
        return float(stats.norm.cdf((size - reaches) / error).mean()) - power

    return float(optimize.brentq(missing, 0.0, float(reaches.max()) + 10 * error))


def _reach(
    rng: np.random.Generator,
    text_part: float,
    text_freedom: float,
    pair: list[_Seeds],
    others: list[_Seeds],
    level: float,
) -> float:
    """Half the length of the interval that one study would have."""
    one, other, *_ = seed_spreads([_drawn(rng, each) for each in (*pair, *others)])
    seed_part = one.variance / pair[0].number + other.variance / pair[1].number
    variance = text_part + seed_part
    parts = text_part**2 / text_freedom
    parts += seed_part**2 / freedom_of(one, other, (pair[0].number, pair[1].number)) if seed_part else 0.0
    freedom = variance**2 / parts if parts else math.inf
    return float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(variance)


def _drawn(rng: np.random.Generator, each: _Seeds) -> Measured:
    scores = rng.normal(0, math.sqrt(each.variance), each.number)
    return Measured(scores, np.zeros(1), each.floor, each.deterministic)
