"""Words for one seed, and how seldom several seeds of equal methods are called different."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.figures import figure
from tests.analysis.statistics.studies import methods_of, right_answers

from thriftune.analysis.statistics.inference import difference
from thriftune.analysis.statistics.one_seed import said


def test_one_seed_is_never_better() -> None:
    assert said("better", False) == "scored higher in this run"
    assert said("worse", False) == "scored lower in this run"
    assert said("equivalent", False) == "scored alike in this run"
    assert said("undecided", False) == "undecided"
    assert said("better", True) == "better"


def falsely(studies: int, seeds: int, texts: int, seed: int) -> tuple[float, float]:
    """Equal methods, a spread of half a point over seeds: how often the interval excludes 0, how often it is said."""
    rng = np.random.default_rng(seed)
    excluded, better = [], []
    for _ in range(studies):
        right, _ = right_answers(rng, [0.85, 0.85], seeds, texts)
        found = difference(*methods_of(right))
        low, high = found.interval(0.95)
        outcome = "better" if low > 0 else "worse" if high < 0 else "undecided"
        excluded.append(outcome != "undecided")
        better.append(said(outcome, found.repeated) in ("better", "worse"))
    return float(np.mean(excluded)), float(np.mean(better))


def test_equal_methods_with_one_and_three_seeds() -> None:
    assert falsely(60, 1, 3000, 0)[1] == 0
    assert falsely(60, 3, 1000, 1)[1] <= 0.05 + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("texts", [1000, 3000, 10_000])
def test_equal_methods_in_a_thousand_studies(texts: int) -> None:
    excluded, said_better = falsely(1000, 1, texts, 2)
    assert figure(excluded, "one seed, interval excludes 0", texts) > 0.05
    assert figure(said_better, "one seed, better", texts) == 0
    for seeds in (3, 5):
        assert figure(falsely(1000, seeds, texts, seeds)[1], "better", seeds, "seeds", texts) <= 0.05 + 2 * np.sqrt(
            0.05 * 0.95 / 1000
        )
