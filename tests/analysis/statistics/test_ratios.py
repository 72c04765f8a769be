"""Ratios of times: their intervals hold the truth, and no winner is named for little."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.figures import figure

from thriftune.analysis.statistics.ratios import RUN_SPREAD, Timed, lost_share, time_ratio


def run(rng: np.random.Generator, seconds: float, spread: float = RUN_SPREAD, steps: int = 100) -> Timed:
    """A run whose speed is its own, and whose consecutive steps are slow together."""
    noise = np.zeros(steps)
    for i in range(1, steps):
        noise[i] = 0.8 * noise[i - 1] + rng.normal(0, 0.1)
    found = seconds / steps * np.exp(rng.normal(0, spread) + noise)
    return Timed(float(found.sum()), found)


def test_two_single_runs() -> None:
    found = time_ratio([Timed(20.0)], [Timed(10.0)])
    assert found.value == pytest.approx(2)
    assert (found.low, found.high) == pytest.approx((1.52, 2.63), abs=0.02)
    assert found.faster == "second"
    turned = time_ratio([Timed(10.0)], [Timed(20.0)])
    assert (turned.low, turned.high) == pytest.approx((1 / found.high, 1 / found.low))
    assert turned.faster == "first"


def test_no_winner_for_little_or_without_proof() -> None:
    steady = [Timed(100.0)] * 20
    assert time_ratio([Timed(125.0)] * 20, steady).faster is None
    assert time_ratio([Timed(135.0)] * 20, steady).faster == "second"
    assert time_ratio([Timed(131.0)], [Timed(100.0)]).faster is None


def test_unsteady_steps_and_repeats_widen_it() -> None:
    plain = time_ratio([Timed(20.0)], [Timed(10.0)])
    blocks = np.repeat([0.1, 0.1, 1.2, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1], 10)
    assert time_ratio([Timed(20.0, blocks)], [Timed(10.0)]).high > plain.high
    assert time_ratio([Timed(20.0, np.full(100, 0.2))], [Timed(10.0)]) == plain
    spread = time_ratio([Timed(15.0), Timed(26.7)], [Timed(10.0), Timed(10.0)])
    assert spread.high / spread.low > time_ratio([Timed(20.0)] * 2, [Timed(10.0)] * 2).high


def test_what_others_took_moves_its_end() -> None:
    plain = time_ratio([Timed(20.0)], [Timed(10.0)])
    busy = time_ratio([Timed(20.0, lost=0.5)], [Timed(10.0)])
    assert busy.value == plain.value
    assert (busy.low, busy.high) == pytest.approx((plain.low / 2, plain.high))
    assert busy.faster is None


def test_lost_shares() -> None:
    assert lost_share(3.0, 1.0, 7.0, 2) == pytest.approx(0.25)
    assert lost_share(3.0, None, 2.0, 2) == pytest.approx(0.5)
    assert lost_share(None, None, None, 2) == 0
    assert lost_share(0.0, 5.0, None, 2) == 0.9


def test_impossible_times() -> None:
    with pytest.raises(ValueError, match="above 0"):
        time_ratio([Timed(0.0)], [Timed(1.0)])
    with pytest.raises(ValueError, match="a run of either"):
        time_ratio([], [Timed(1.0)])


def held(studies: int, true: float, repeats: int, spread: float, seed: int) -> tuple[float, float]:
    """How often the interval holds the true ratio, and how often a winner is named."""
    rng = np.random.default_rng(seed)
    found = [
        time_ratio([run(rng, true, spread) for _ in range(repeats)], [run(rng, 1.0, spread) for _ in range(repeats)])
        for _ in range(studies)
    ]
    return (
        float(np.mean([each.low <= true <= each.high for each in found])),
        float(np.mean([each.faster is not None for each in found])),
    )


def test_intervals_hold_the_ratio() -> None:
    inside, named = held(100, 1.0, 1, RUN_SPREAD, 0)
    assert inside >= 0.9
    assert named <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [1, 3, 5])
@pytest.mark.parametrize("spread", [0.03, RUN_SPREAD, 0.1])
def test_intervals_hold_the_ratio_in_a_thousand_studies(repeats: int, spread: float) -> None:
    inside, _ = held(1000, 2.0, repeats, spread, 1)
    assert figure(inside, "ratio inside", repeats, spread) >= (0.93 if spread <= RUN_SPREAD else 0.86)
    _, named = held(1000, 1.0, repeats, spread, 2)
    assert figure(named, "faster named of equals", repeats, spread) <= (0.03 if spread <= RUN_SPREAD else 0.1)
