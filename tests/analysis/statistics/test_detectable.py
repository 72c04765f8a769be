"""What a study tells apart: the promised chance, by simulation of the tests themselves."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower
from tests.analysis.figures import figure
from tests.analysis.statistics.studies import methods_of, right_answers

from thriftune.analysis.statistics.detectable import Plan, detectable, detectable_after, largest
from thriftune.analysis.statistics.inference import Measured, difference, measured

DISAGREEMENT = 0.117
WITHIN = 0.102
"""Of two methods and of two seeds in the simulated studies, at 85%."""


def test_one_seed_is_the_normal_tests_power() -> None:
    found = detectable(Plan(texts=2000, seeds=1, disagreement=0.12))
    power = NormalIndPower(ddof=0).power(found / np.sqrt(0.12), 2002, 0.05, ratio=0, alternative="larger")
    two_sided = NormalIndPower(ddof=0).power(found / np.sqrt(0.12), 2002, 0.05, ratio=0)
    assert two_sided == pytest.approx(0.8, abs=0.01)
    assert power > two_sided


def test_more_of_anything_tells_more_apart() -> None:
    base = Plan(texts=1000, seeds=3, disagreement=0.12, seed_spread=0.005, seed_disagreement=0.1)
    found = detectable(base)
    assert detectable(Plan(4000, 3, 0.12, 0.005, 0.1)) < found
    assert detectable(Plan(1000, 8, 0.12, 0.005, 0.1)) < found
    assert detectable(Plan(1000, 3, 0.12, 0.02, 0.1)) > found
    assert detectable(base, level=0.99) > found
    assert detectable(base, power=0.5) < found
    assert detectable(base) == found


def test_nothing_but_seeds_and_nothing_at_all() -> None:
    scores = np.array([0.8, 0.81, 0.79])
    first, second = (Measured(scores + shift, np.full(1_000_000, 0.8 + shift), 0.0) for shift in (0, 0.01))
    assert 0.02 < detectable_after(first, second) < 0.06
    same = Measured(np.array([0.8]), np.full(1_000_000, 0.8), 0.0, deterministic=True)
    assert detectable_after(same, same) < 1e-4


def test_the_largest_difference_is_the_further_end() -> None:
    right, _ = right_answers(np.random.default_rng(0), [0.85, 0.8], 1, 1000)
    methods = methods_of(right)
    found = difference(*methods)
    low, high = found.interval(0.95)
    assert largest(found) == max(abs(low), abs(high))
    assert largest(difference(*reversed(methods))) == pytest.approx(largest(found))
    assert detectable_after(*methods) == pytest.approx(found.error * 2.8016, rel=1e-3)
    assert largest(difference(measured(np.ones((1, 20))), measured(np.ones((1, 20))))) > 0.05


def power(studies: int, plan: Plan, seed: int) -> tuple[float, float]:
    """How often the planned difference is found, and the median of what the studies say of themselves, over it."""
    rng = np.random.default_rng(seed)
    promised = detectable(plan)
    found, after = [], []
    for _ in range(studies):
        accuracies = [0.85 + promised / 2] + [0.85 - promised / 2] * (plan.methods - 1)
        right, _ = right_answers(rng, accuracies, plan.seeds, plan.texts, plan.seed_spread)
        methods = methods_of(right)
        found.append(difference(methods[0], methods[1], methods[2:]).interval(0.95)[0] > 0)
        if len(after) < 40:
            after.append(detectable_after(methods[0], methods[1], methods[2:]))
    return float(np.mean(found)), float(np.median(after)) / promised


def plan(texts: int, seeds: int, methods: int) -> Plan:
    return Plan(texts, seeds, DISAGREEMENT, 0.005 if seeds > 1 else 0.0, WITHIN, methods)


def test_the_promise_is_kept() -> None:
    share, after = power(120, plan(1000, 1, 2), 1)
    assert share == pytest.approx(0.8, abs=0.05 + 0.08)
    assert after == pytest.approx(1, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("texts", [1000, 5000])
@pytest.mark.parametrize(("seeds", "methods"), [(1, 2), (3, 2), (3, 4), (5, 2)])
def test_the_promise_is_kept_in_a_thousand_studies(texts: int, seeds: int, methods: int) -> None:
    share, after = power(1000, plan(texts, seeds, methods), 2)
    assert figure(share, "promised 80%", texts, seeds, methods) == pytest.approx(0.8, abs=0.05)
    assert figure(after, "said afterwards over promised", texts, seeds, methods) == pytest.approx(1, abs=0.25)
