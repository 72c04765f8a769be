"""How batches are split."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from thriftune.engine.parallel.split import shares


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("count", [1, 2, 5, 32, 100])
def test_every_text_has_one_process_and_every_process_a_text_where_there_are_enough(size: int, count: int) -> None:
    lengths = -np.sort(-np.random.default_rng(count).integers(2, 200, count))
    places = shares(lengths, size)
    assert places[0] == 0
    assert places[-1] == count
    assert len(places) == size + 1
    parts = np.diff(places)
    assert (parts >= 0).all()
    assert (parts > 0).sum() == min(size, count)
    assert parts[0] > 0, "the first process always has one"


def test_tokens_are_about_equal() -> None:
    lengths = -np.sort(-np.random.default_rng(0).integers(2, 60, 64))
    for size in (2, 4):
        places = shares(lengths, size)
        tokens = [lengths[a:b].sum() for a, b in pairwise(places)]
        assert max(tokens) - min(tokens) <= 60


def test_one_long_text_does_not_leave_the_others_without() -> None:
    assert shares(np.array([500, 3, 3, 3]), 4) == [0, 1, 2, 3, 4]
    assert shares(np.array([500, 3, 3, 3]), 2) == [0, 1, 4]
