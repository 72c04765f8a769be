"""Shares of train for the splits that a source lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thriftune.data.guess.inspect import guess
from thriftune.data.guess.shares import shares
from thriftune.data.load import load_dataset
from thriftune.data.settings import DataSettings


@pytest.mark.parametrize(
    ("rows", "classes", "test", "validation"),
    [
        (200, 2, 0.2, 0.2),
        (600, 3, 0.2, 0.17),
        (1_000, 77, 0.2, 0.1),
        (1_000, 150, 0.2, 0.15),
        (10_003, 77, 0.2, 0.1),
        (50_000, 2, 0.2, 0.04),
        (300_000, 3, 0.033, 0.0067),
    ],
)
def test_shares_follow_the_rows(rows: int, classes: int, test: float, validation: float) -> None:
    found = shares(rows, classes, ["validation", "test"])
    assert (found.test, found.validation) == (test, validation)


def test_what_is_there_is_not_made() -> None:
    assert shares(1_000, 2, ["validation"]).test == 0
    assert shares(1_000, 2, ["test"]).validation == 0
    assert shares(1_000, 2, ["test", "validation"]).words == "20% for test, 10% for validation"
    assert "more than a tenth" in shares(300, 2, ["validation"]).why
    assert "quick" in shares(300_000, 2, ["validation"]).why


@pytest.mark.parametrize(("classes", "each"), [(2, 100), (40, 5), (77, 13), (150, 7)])
def test_every_class_has_a_validation_text(tmp_path: Path, classes: int, each: int) -> None:
    lines = [f"some words number {i} of them,class {i % classes}" for i in range(classes * each)]
    path = tmp_path / "a.csv"
    path.write_text("text,label\n" + "\n".join(lines), encoding="utf-8")
    found = guess(path)
    assert found.split is not None
    dataset = load_dataset(
        DataSettings(source=str(path), text=found.text, label=found.label, split=found.split), tmp_path
    )
    assert {name: frame.height for name, frame in dataset.splits.items()} == found.rows
    for name in ("train", "validation", "test"):
        assert dataset.splits[name]["label"].n_unique() == classes, name


@given(rows=st.integers(10, 3_000_000), classes=st.integers(2, 500))
def test_bounds(rows: int, classes: int) -> None:
    found = shares(rows, classes, ["validation", "test"])
    assert 0 < found.validation <= 0.2
    assert 0 < found.test <= 0.2
    assert found.test * rows <= 10_600
    texts = found.validation * rows
    assert texts <= max(2_110, 0.1 * rows * (rows < 20_000), 1.1 * classes)
    assert texts >= 0.94 * min(0.2 * rows, max(100, classes)), "a text for every class, where a fifth has as many"
