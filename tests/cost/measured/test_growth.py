"""How far a process's memory rises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from thriftune.cost.measured import growth
from thriftune.cost.measured.growth import Growth

SIZE = 64_000_000


@pytest.mark.parametrize("resets", [True, False])
def test_what_is_taken_and_given_back_counts(resets: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not resets:
        monkeypatch.setattr(growth, "RESET", tmp_path / "no" / "such")
        monkeypatch.setattr(growth, "EVERY", 0.001)
    earlier = np.ones(2 * SIZE // 8)
    del earlier
    watch = Growth.begin()
    assert not (watch.reset and not resets)
    taken = np.ones(SIZE // 8)
    taken.sort()
    total = taken.sum()
    found = watch.end()
    assert total == SIZE // 8
    assert found is not None
    assert 0.9 * SIZE < found < 1.5 * SIZE


def test_where_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(growth, "STATUS", tmp_path / "none")
    assert Growth.begin().end() is None
