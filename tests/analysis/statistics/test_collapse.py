"""Failure rates that few seeds rule out."""

from __future__ import annotations

import pytest
from scipy.stats import binom, binomtest

from thriftune.analysis.statistics.collapse import rate_at_least, rate_at_most


def test_three_seeds_without_a_failure() -> None:
    assert rate_at_most(0, 3) == pytest.approx(0.6316, abs=1e-4)
    assert rate_at_most(0, 3) == pytest.approx(1 - 0.05 ** (1 / 3))
    assert rate_at_most(0, 10) == pytest.approx(0.2589, abs=1e-4)


@pytest.mark.parametrize(("failures", "seeds"), [(0, 1), (1, 3), (2, 5), (5, 5), (3, 20)])
def test_rates_are_scipys_and_exact(failures: int, seeds: int) -> None:
    expected = binomtest(failures, seeds).proportion_ci(0.9, method="exact")
    assert rate_at_most(failures, seeds) == pytest.approx(expected.high)
    assert rate_at_least(failures, seeds) == pytest.approx(expected.low)
    if failures < seeds:
        assert binom.cdf(failures, seeds, rate_at_most(failures, seeds)) == pytest.approx(0.05)


@pytest.mark.parametrize(("failures", "seeds"), [(-1, 3), (4, 3)])
def test_impossible_counts(failures: int, seeds: int) -> None:
    with pytest.raises(ValueError, match="between 0 and"):
        rate_at_most(failures, seeds)
