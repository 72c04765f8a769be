"""Texts that come in groups: against statsmodels, and coverage where intervals over texts fail."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from scipy.stats import binomtest
from tests.analysis.figures import figure

from thriftune.analysis.statistics.basics import wilson
from thriftune.analysis.statistics.clustered import (
    accuracy,
    bootstrap,
    clustered_difference,
    design_effect,
    group_variance,
    metric_bootstrap,
)
from thriftune.analysis.statistics.inference import bootstrap as text_bootstrap
from thriftune.analysis.statistics.inference import difference, measured


def grouped(
    rng: np.random.Generator, accuracies: list[float], groups: int, size: int, within: float
) -> tuple[np.ndarray, np.ndarray]:
    """Right answers (methods, texts) and groups (texts,); `within`: what a group's texts share of their difficulty."""
    ids = np.repeat(np.arange(groups), size)

    def difficulty() -> np.ndarray:
        return np.sqrt(within) * rng.standard_normal(groups)[ids] + np.sqrt(1 - within) * rng.standard_normal(len(ids))

    common = difficulty()
    rows = [np.sqrt(0.6) * common + np.sqrt(0.4) * difficulty() < stats.norm.ppf(each) for each in accuracies]
    return np.array(rows, dtype=np.float64), ids


def test_variance_is_statsmodels_cluster_robust() -> None:
    right, groups = grouped(np.random.default_rng(0), [0.8], 40, 7, 0.5)
    fit = sm.OLS(right[0], np.ones(280)).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False})
    assert group_variance(right[0], groups) == pytest.approx(fit.cov_params()[0, 0] * 40 / 39)


def test_groups_of_one_are_texts() -> None:
    right = (np.random.default_rng(1).random(400) < 0.8).astype(np.float64)
    found = accuracy(right, np.arange(400))
    assert found.design_effect == pytest.approx(1, abs=0.01)
    assert (found.low, found.high) == pytest.approx(wilson(int(right.sum()), 400), abs=0.001)


def test_repeated_texts_count_once() -> None:
    right = (np.random.default_rng(2).random(300) < 0.85).astype(np.float64)
    found = accuracy(np.repeat(right, 10), np.repeat(np.arange(300), 10))
    expected = binomtest(int(right.sum()), 300).proportion_ci(0.95, method="wilson")
    assert found.effective_texts == pytest.approx(300, rel=0.01)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.001)


def test_all_right_says_as_much_as_its_groups() -> None:
    found = accuracy(np.ones(100), np.repeat(np.arange(10), 10))
    assert found.effective_texts == pytest.approx(10)
    assert found.high == 1
    assert found.low < wilson(10, 10)[0] + 1e-9
    assert (accuracy(np.ones(5), np.zeros(5, dtype=int)).low, design_effect(np.ones(5), np.zeros(5, dtype=int))) == (
        0,
        5,
    )


def test_differences_of_groups_of_one_are_those_of_texts() -> None:
    right, _ = grouped(np.random.default_rng(3), [0.85, 0.8], 500, 1, 0.0)
    first, second = (measured(each[None]) for each in right)
    found, plain = clustered_difference(first, second, np.arange(500)), difference(first, second)
    assert found.estimate == plain.estimate
    assert found.error == pytest.approx(plain.error, rel=0.005)
    assert found.freedom == pytest.approx(499)
    assert not found.repeated


def test_bootstrap_over_groups_has_that_variance() -> None:
    right, groups = grouped(np.random.default_rng(4), [0.85, 0.8], 60, 8, 0.6)
    by_text = right[0] - right[1]
    drawn = bootstrap(
        np.stack([np.ones(480), by_text], axis=1), groups, lambda sums: sums[:, 1] / sums[:, 0], replicates=4000
    )
    assert drawn.mean() == pytest.approx(by_text.mean(), abs=0.002)
    assert drawn.std() == pytest.approx(np.sqrt(group_variance(by_text, groups)), rel=0.05)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_bootstrap_of_metrics_over_single_texts_is_the_ordinary_one(metric: str) -> None:
    rng = np.random.default_rng(5)
    label = rng.integers(0, 3, 600)
    first, second = (np.where(rng.random(600) < 0.8, label, rng.integers(0, 3, 600)) for _ in range(2))
    expected = text_bootstrap(label, first, second, 3)[metric == "macro_f1"]
    found = metric_bootstrap(metric, label, first, second, 3, np.arange(600))
    assert np.quantile(found, [0.025, 0.975]) == pytest.approx(np.quantile(expected, [0.025, 0.975]), abs=0.006)
    wide = metric_bootstrap(
        metric, np.tile(label, 4), np.tile(first, 4), np.tile(second, 4), 3, np.tile(np.arange(600), 4)
    )
    assert wide.std() == pytest.approx(expected.std(), rel=0.08)


def coverage(studies: int, groups: int, within: float, seeds: int, seed: int) -> tuple[float, float, float]:
    """How often the truth lies in the interval of an accuracy over groups, over texts, and of a difference."""
    rng = np.random.default_rng(seed)
    held = []
    for _ in range(studies):
        right, ids = grouped(rng, [0.85] * seeds + [0.83] * seeds, groups, 10, within)
        one = accuracy(right[0], ids)
        low, high = wilson(int(right[0].sum()), len(ids))
        methods = measured(right[:seeds]), measured(right[seeds:])
        ends = clustered_difference(*methods, ids).interval(0.95)
        held.append([one.low <= 0.85 <= one.high, low <= 0.85 <= high, ends[0] <= 0.02 <= ends[1]])
    return tuple(np.mean(held, axis=0))


def test_ten_texts_a_group() -> None:
    share, naive, paired = coverage(150, 100, 0.6, 1, 6)
    assert share >= 0.92 - 0.06
    assert paired >= 0.92 - 0.06
    assert naive < 0.86


@pytest.mark.slow
@pytest.mark.parametrize("groups", [30, 100, 300])
@pytest.mark.parametrize("within", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("seeds", [1, 3])
def test_ten_texts_a_group_in_a_thousand_studies(groups: int, within: float, seeds: int) -> None:
    share, naive, paired = coverage(1000, groups, within, seeds, 7)
    assert figure(share, "groups, share", groups, within, seeds) >= 0.92
    assert figure(paired, "groups, difference", groups, within, seeds) >= 0.92
    assert figure(naive, "groups, counted as texts", groups, within, seeds) < 0.92
