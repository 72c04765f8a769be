"""What a study will tell apart, before it runs."""

from __future__ import annotations

import pytest

from thriftune.analysis.findings.planned import DISAGREEMENT, SEED_SPREAD, document, planned, sentences
from thriftune.analysis.statistics.detectable import Plan, detectable
from thriftune.results.prediction import Forecast


def cell(name: str, seeds: int, texts: int | None, model: str = "m") -> Forecast:
    return Forecast(name, model, {}, 8, "cpu", None, None, None, None, seeds=seeds, test_texts=texts)  # type: ignore[arg-type]


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
    assert "texts of one group are unrelated" in sentences([four], grouped=True)[0]


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
