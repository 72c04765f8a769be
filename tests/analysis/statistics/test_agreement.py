"""Overlap of errors: counts by hand, kappa against scikit-learn, and the contrast with seeds by simulation."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from thriftune.analysis.statistics.agreement import agreement, beyond_seeds, excess


def test_counts_and_kappa() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 500)
    predicted = np.stack([np.where(rng.random(500) < 0.7, label, rng.integers(0, 4, 500)) for _ in range(3)])
    found = agreement(label, predicted)
    for i, j in combinations(range(3), 2):
        a, b = predicted[i], predicted[j]
        right, other = a == label, b == label
        assert found.both_right[i, j] == (right & other).sum()
        assert found.only_first[i, j] == found.only_second[j, i] == (right & ~other).sum()
        assert found.same_wrong[i, j] == (~right & (a == b)).sum()
        assert found.other_wrong[i, j] == (~right & ~other & (a != b)).sum()
        assert found.kappa(i, j) == pytest.approx(cohen_kappa_score(right, other))
        assert found.disagreement[i, j] == pytest.approx((right != other).mean())


def test_kappa_of_runs_without_errors_is_unknown() -> None:
    label = np.zeros(5, dtype=np.int64)
    assert agreement(label, np.zeros((2, 5), dtype=np.int64)).kappa(0, 1) is None
    assert agreement(label, np.array([[0, 0, 0, 0, 0], [0, 0, 0, 0, 1]])).kappa(0, 1) == 0


def test_without_repeats_there_is_no_baseline() -> None:
    assert beyond_seeds(3, [[0, 1], [2]], [(0, 1)]) is None
    assert beyond_seeds(2, [[0, 1]], []) is None


def runs(rng: np.random.Generator, own: float, leaning: float, methods: int = 2, seeds: int = 3, texts: int = 2000):
    """Right answers as predictions of label 1; methods differ by `own` log-odds, seeds lean by class."""
    common, kind = rng.normal(3.2, 2, texts), rng.integers(0, 3, texts)
    chances = []
    for _ in range(methods):
        mine = common + rng.normal(0, own, texts)
        chances += [1 / (1 + np.exp(-mine - rng.normal(0, leaning, 3)[kind])) for _ in range(seeds)]
    groups = [list(range(i * seeds, (i + 1) * seeds)) for i in range(methods)]
    pairs = list(combinations(range(methods), 2))
    predicted = (rng.random((len(chances), texts)) < np.array(chances)).astype(np.int64)
    weights = beyond_seeds(len(chances), groups, pairs)
    return np.array(chances), excess(np.ones(texts, dtype=np.int64), predicted, groups, weights)


def test_excess_is_the_squared_distance_of_the_methods() -> None:
    rng = np.random.default_rng(1)
    expected, found, errors = [], [], []
    for _ in range(100):
        chances, each = runs(rng, own=0.8, leaning=0.0)
        expected.append(((chances[0] - chances[3]) ** 2).mean())
        found.append(each.estimate)
        errors.append(each.error)
    assert np.mean(found) == pytest.approx(np.mean(expected), abs=3 * np.std(found) / 10)
    assert np.mean(errors) == pytest.approx(np.std(found), rel=0.25)


@pytest.mark.parametrize(("seeds", "leaning"), [(2, 0.0), (3, 0.0), (3, 0.3)])
def test_seeds_are_seldom_taken_for_methods(seeds: int, leaning: float) -> None:
    rng = np.random.default_rng(2)
    hits = sum(runs(rng, 0.0, leaning, seeds=seeds)[1].interval(0.95)[0] > 0 for _ in range(150))
    assert hits / 150 <= 0.025 + 3 * np.sqrt(0.025 * 0.975 / 150)


def test_methods_that_err_differently_are_found() -> None:
    rng = np.random.default_rng(3)
    assert sum(runs(rng, 1.0, 0.1)[1].interval(0.95)[0] > 0 for _ in range(50)) / 50 >= 0.9
