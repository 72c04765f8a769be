"""Statistics against scipy's own and worked values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from thriftune.analysis.statistics.basics import above_share, kendalls_w, tukey, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (1, 3), (7720, 10000), (1, 100000), (500, 1000)])
def test_wilson_is_scipys(successes: int, trials: int) -> None:
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_trials_knows_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("successes", "trials", "share"), [(340, 1000, 1 / 3), (0, 5, 0.5), (5, 5, 0.5), (60, 100, 0.5)]
)
def test_above_share_is_the_exact_test(successes: int, trials: int, share: float) -> None:
    expected = binomtest(successes, trials, share, alternative="greater").pvalue
    assert above_share(successes, trials, share) == pytest.approx(expected)


def test_the_published_chance_runs_did_not_learn() -> None:
    assert above_share(round(0.3335 * 109_873), 109_873, 1 / 3) > 0.05
    assert above_share(round(0.3400 * 109_873), 109_873, 1 / 3) < 0.05


def test_kendalls_w() -> None:
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 30, (4, 12)).astype(float)
    mean_rho = np.mean([spearmanr(scores[i], scores[j]).statistic for i in range(4) for j in range(i)])
    plain = rng.permuted(np.tile(np.arange(12.0), (4, 1)), axis=1)
    plain_rho = np.mean([spearmanr(plain[i], plain[j]).statistic for i in range(4) for j in range(i)])
    w = kendalls_w(plain)
    assert w is not None
    assert (4 * w - 1) / 3 == pytest.approx(plain_rho)
    tied = kendalls_w(scores)
    assert tied is not None
    assert (4 * tied - 1) / 3 == pytest.approx(mean_rho, abs=0.02)
    assert kendalls_w(np.tile(np.arange(5.0), (3, 1))) == pytest.approx(1)
    assert kendalls_w(np.ones((3, 5))) is None
    assert kendalls_w(np.ones((1, 5))) is None


def test_tukey() -> None:
    box = tukey(np.array([1.0, 2, 3, 4, 5, 100]))
    assert box == {"low": 1.0, "q1": 2.25, "median": 3.5, "q3": 4.75, "high": 5.0}
