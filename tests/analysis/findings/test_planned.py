"""What a study will tell apart, before it runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from thriftune.analysis.findings.planned import DISAGREEMENT, SEED_SPREAD, document, planned, sentences
from thriftune.analysis.statistics.detectable import Plan, detectable
from thriftune.results.prediction import Forecast


def cell(
    name: str, seeds: int, texts: int | None, model: str = "m", groups: int | None = None, size: float | None = None
) -> Forecast:
    found = Forecast(name, model, {}, 8, "cpu", None, None, None, None, seeds=seeds, test_texts=texts)  # type: ignore[arg-type]
    return replace(found, test_groups=groups, test_group_size=size)


def test_one_seed_of_two_methods() -> None:
    (found,) = planned([cell("full", 1, 1000), cell("lora", 1, 1000)])
    assert found.difference == detectable(Plan(1000, 1, DISAGREEMENT, SEED_SPREAD))
    assert 0.03 < found.difference < 0.04
    first, second = sentences([found])
    assert first == (
        "With 1 seed and 1,000 test texts this study tells apart differences from about 3.5 points on, with a chance "
        "of 80%. Assumed: two methods disagree on 15% of the texts."
    )
    assert second.startswith("With one seed that is about the trained models: no method will be called better")
    assert "seeds: [0, 1, 2]" in second


def test_more_pairs_tell_less_apart_and_more_texts_more() -> None:
    two = planned([cell(name, 3, 1000) for name in "ab"])[0]
    four = planned([cell(name, 3, 1000) for name in "abcd"])[0]
    many = planned([cell(name, 3, 10_000) for name in "abcd"])[0]
    assert many.difference < four.difference
    assert four.level == pytest.approx(1 - 0.05 / 6)
    assert two.with_more_seeds is None
    (text,) = sentences([four])
    assert "(for 6 pairs of methods)" in text
    assert "seeds of one method vary by 0.5 points" in text


@pytest.mark.parametrize("seeds", [1, 3])
def test_texts_of_groups_are_worth_fewer(seeds: int) -> None:
    """Groups of 11 with a correlation of 0.1 double the variance: as many as half the texts, if they were unrelated."""
    (alone,) = planned([cell(name, seeds, 1000) for name in "ab"])
    (found,) = planned([cell(name, seeds, 1000, groups=100, size=11.0) for name in "ab"])
    (half,) = planned([cell(name, seeds, 500) for name in "ab"])
    (few,) = planned([cell(name, seeds, 1000, groups=4, size=250.0) for name in "ab"])
    assert found.worth == 500
    assert alone.difference < found.difference < few.difference
    assert found.difference == pytest.approx(half.difference, rel=0.02 if seeds == 1 else 0.2)
    text = sentences([found])[0]
    assert "1,000 test texts in 100 groups this study tells apart" in text
    assert "related by 0.1 (a guess), so that all are worth 500 unrelated ones" in text
    (kept,) = document([found])["tells_apart"]
    assert (kept["test_groups"], kept["group_size"], kept["assumed_correlation"]) == (100, 11.0, 0.1)
    assert document([alone])["tells_apart"][0]["test_groups_reason"]


def test_models_with_the_same_answer_share_a_sentence() -> None:
    cells = [cell(name, 2, 500, model) for model in ("m", "n") for name in "ab"]
    assert len(sentences(planned(cells))) == 1
    other = [*cells, cell("c", 2, 500, "o")]
    assert sentences(planned(other))[0].startswith("On m and n: with 2 seeds")


def test_json_says_what_it_assumes_or_why_there_is_nothing() -> None:
    (found,) = document(planned([cell("a", 3, 1000), cell("b", 3, 1000)]))["tells_apart"]
    assert found["assumed_disagreement"] == 0.15
    assert found["test_texts"] == 1000
    assert found["with_more_seeds_reason"]
    nothing = document(planned([cell("a", 3, None)]))
    assert nothing["tells_apart"] is None
    assert "test texts" in nothing["tells_apart_reason"]
