"""No two sentences of a page and its terminal contradict each other, in studies made up at random."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.analysis.findings.saying import contradictions, made_up


@pytest.mark.parametrize("seed", range(8))
def test_nothing_contradicts(tmp_path: Path, seed: int) -> None:
    results = made_up(tmp_path, np.random.default_rng(seed))
    assert list(contradictions(results)) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_nothing_contradicts_in_hundreds_of_studies(tmp_path: Path, part: int) -> None:
    for seed in range(100 + 25 * part, 125 + 25 * part):
        results = made_up(tmp_path / str(seed), np.random.default_rng(seed))
        assert list(contradictions(results)) == [], seed
