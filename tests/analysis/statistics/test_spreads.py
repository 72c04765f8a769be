"""Seeds' spreads: shared where methods spread alike, decided once for each model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from thriftune.analysis.statistics.best_set import compare
from thriftune.analysis.statistics.inference import Measured, difference
from thriftune.analysis.statistics.spreads import bartlett, freedom_of, seed_spreads


def method(spread: float, seeds: int = 3, mean: float = 0.8, noise: float = 0.0) -> Measured:
    """Seeds with exactly that standard deviation, the same on every text."""
    scores = mean + (spread * stats.zscore(np.arange(seeds), ddof=1) if seeds > 1 else np.zeros(1))
    return Measured(scores, np.full(1_000_000, mean), noise)


BASELINE = Measured(np.array([0.7]), np.full(1_000_000, 0.7), 0.0, deterministic=True)


def test_bartlett_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for sizes in ([3, 3], [2, 3, 5], [4] * 9):
        samples = [rng.normal(0, 1 + i, size) for i, size in enumerate(sizes)]
        found = bartlett([each.var(ddof=1) for each in samples], [size - 1 for size in sizes])
        assert found == pytest.approx(stats.bartlett(*samples).pvalue)
    assert (bartlett([1.0], [2]), bartlett([0.0, 0.0], [2, 2]), bartlett([0.0, 1.0], [2, 2])) == (1.0, 1.0, 0.0)


def test_alike_methods_share_the_mean_of_their_variances() -> None:
    found = seed_spreads([method(0.004), BASELINE, method(0.005, 5), method(0.006), method(0.1, 1)])
    common = (2 * 0.004**2 + 4 * 0.005**2 + 2 * 0.006**2) / 8
    for i in (0, 2, 3):
        assert found[i].variance == pytest.approx(common)
        assert (found[i].freedom, found[i].pool, found[i].methods) == (8, found[0].pool, 3)
    for i in (1, 4):
        assert (found[i].variance, found[i].freedom, found[i].pool) == (0.0, math.inf, None)


def test_of_unlike_methods_none_has_less_than_the_common_spread() -> None:
    found = seed_spreads([method(0.02, 5), method(0.001, 5), method(0.001, 5)])
    common = (0.02**2 + 2 * 0.001**2) / 3
    assert [each.variance for each in found] == pytest.approx([0.02**2, common, common])
    assert {each.freedom for each in found} == {6}


def test_two_unlike_methods_keep_their_own() -> None:
    found = seed_spreads([method(0.02), method(0.001)])
    assert [each.variance for each in found] == pytest.approx([0.02**2, 0.001**2])
    assert [each.pool for each in found] == [None, None]
    welch = (0.02**2 + 0.001**2) ** 2 / ((0.02**4 + 0.001**4) / 2)
    assert freedom_of(*found, (3, 3)) == pytest.approx(welch)


def test_single_texts_are_the_least_that_seeds_spread() -> None:
    noisy = method(0.001, noise=25.0)
    assert seed_spreads([noisy])[0].variance == pytest.approx(25e-6)
    assert seed_spreads([noisy, noisy, noisy])[0].variance == pytest.approx(25e-6)


def test_each_model_has_a_spread_and_methods_alone_on_theirs_share_one() -> None:
    methods = [method(0.004), method(0.005), method(0.02), method(0.021), method(0.001), method(0.0011)]
    found = seed_spreads(methods, ["a", "a", "b", "b", "c", "d"])
    pools = [each.pool for each in found]
    assert pools[0] == pools[1] != pools[2] == pools[3]
    assert pools[4] == pools[5]
    assert [each.freedom for each in found] == [4] * 6
    across = freedom_of(found[0], found[2], (3, 3))
    assert 4 < across < 8
    assert freedom_of(found[0], seed_spreads([BASELINE])[0], (3, 1)) == 4


def test_pairs_and_the_best_set_have_the_same_intervals() -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(0.8, 0.005, (4, 3)) + np.array([0, 0, 0.01, 0.02])[:, None]
    methods = [Measured(each, np.full(1_000_000, each.mean()), 0.0) for each in scores]
    compared = compare(methods).differences
    spreads = seed_spreads(methods)
    for (i, j), each in compared.items():
        others = [method for k, method in enumerate(methods) if k not in (i, j)]
        assert each.error == pytest.approx(difference(methods[i], methods[j], others).error)
        assert each.p == pytest.approx(difference(methods[i], methods[j], spreads=(spreads[i], spreads[j])).p)
