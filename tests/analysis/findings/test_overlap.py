"""Methods err differently where they disagree beyond their seeds by more than the margin, and not before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.report.synthetic import VARIANTS, Variant, write

from thriftune.analysis.findings.errors.overlap import Overlap, distinct, overlap, sentences
from thriftune.analysis.statistics.agreement import Agreement, Excess


def found(excess: Excess | None) -> Overlap:
    nothing = np.zeros((0, 0), dtype=np.int64)
    return Overlap([], [], Agreement(nothing, nothing, nothing, nothing, nothing), {}, excess, None)


@pytest.mark.parametrize(
    ("margin", "answer"), [(0.005, "supported"), (0.015, "undecided"), (0.025, "undecided"), (0.05, "refuted")]
)
def test_only_what_lies_beyond_the_margin_counts(margin: float, answer: str) -> None:
    """Two points beyond the seeds, 95% interval from 1.2 to 2.8."""
    assert distinct(found(Excess(0.02, 0.004, 100)), margin) == answer


def test_without_repeats_it_is_open() -> None:
    assert distinct(found(None), 0.005) == "undecided"


def test_one_seed_says_what_is_known(tmp_path: Path) -> None:
    (text,) = sentences(write(tmp_path, replace(VARIANTS["two-labels"], texts=200)).load())
    assert text.endswith("how much two seeds of one method would is not known.")
    assert "differently" not in text


def test_repeats_say_by_how_much(tmp_path: Path) -> None:
    results = write(tmp_path, Variant(texts=300, seeds=2, troubled=False, baselines=False)).load()
    (text,) = sentences(results)
    assert "points beyond what seeds do (95% interval " in text
    assert "the margin of 0.5 points" in text
    assert overlap(results) is not None
