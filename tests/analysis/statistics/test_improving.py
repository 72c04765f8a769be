"""A gain on validation in the last epoch: seldom where nothing but chance moves answers, seen where accuracy rises."""

from __future__ import annotations

import numpy as np
import pytest

from thriftune.results.training import improving


def called(studies: int, rise: float, texts: int, moved: float, seed: int) -> float:
    """The share of trainings called still improving: `moved` of the answers change by chance, `rise` become right."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(studies):
        before = rng.random(texts) < 0.8
        changes = rng.random(texts)
        after = np.where(
            changes < moved, ~before & (rng.random(texts) < 0.8) | before & (rng.random(texts) < 0.75), before
        )
        after |= changes > 1 - rise / 0.2
        d = (after != before).mean()
        found.append(improving(float(after.mean() - before.mean()), float(2 * np.sqrt(d / texts)), 0.5))
    return float(np.mean(found))


@pytest.mark.parametrize("texts", [500, 5000])
def test_chance_is_seldom_called_improvement(texts: int) -> None:
    assert called(400, 0.0, texts, 0.1, 0) <= 0.025 + 0.03


def test_a_rise_is_called_improvement() -> None:
    assert called(100, 0.03, 2000, 0.1, 1) >= 0.9
