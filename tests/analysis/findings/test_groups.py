"""Groups of texts through the findings: every interval counts them, and covers what it should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from tests.analysis.figures import figure
from tests.report.synthetic import sure, write_runs

from thriftune import wording as f
from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.groups import counted, groups_of, interval, sentence, share
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.panels.answers import summary
from thriftune.analysis.panels.performance import robustness_drops
from thriftune.analysis.statistics.basics import wilson
from thriftune.results.profile import Groups, RobustnessProfile
from thriftune.results.store import Results


def study(
    out: Path, right: dict[str, np.ndarray], premises: np.ndarray, rng: np.random.Generator, grouped: bool = True
) -> Results:
    """A study of two labels whose runs are right on certain texts alone; each text has its premise's id."""
    texts = len(premises)
    truth = rng.integers(0, 2, texts)
    frame = {"text": [f"text {i}" for i in range(texts)], "label": truth, "premise": [f"p{i}" for i in premises]}
    runs = {name: sure(truth, ~each, 2, rng) for name, each in right.items()}
    results = write_runs(out, frame, ("no", "yes"), runs).load()
    if not grouped:
        return results
    groups = Groups("premise", "premise", len(set(premises.tolist())), texts, None)
    found = replace(results.study, profile=replace(results.study.profile, groups=groups))
    return Results(results.store, found)


def answers(
    rng: np.random.Generator, accuracies: list[float], groups: int, size: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Right answers of methods on texts that share four fifths of their difficulty with their group."""
    ids = np.repeat(np.arange(groups), size)

    def difficulty() -> np.ndarray:
        return np.sqrt(0.8) * rng.standard_normal(groups)[ids] + np.sqrt(0.2) * rng.standard_normal(len(ids))

    common = difficulty()
    return [np.sqrt(0.6) * common + np.sqrt(0.4) * difficulty() < stats.norm.ppf(each) for each in accuracies], ids


def coverage(out: Path, studies: int, grouped: bool, seed: int = 20) -> tuple[float, float, float]:
    """How often the intervals of an accuracy, a decision's score and a difference hold the truth (80%, 80%, 0)."""
    rng = np.random.default_rng(seed)
    hits = np.zeros(3)
    for number in range(studies):
        right, premises = answers(rng, [0.8, 0.8], 60, 10)
        results = study(out / str(number), dict(zip("ab", right, strict=True)), premises, rng, grouped)
        low, high = interval(results, results.done[0])
        standing = decide(results).of("b")
        assert standing is not None
        score = standing.score
        verdict = judge(results).verdicts[0]
        hits += (
            low <= 0.8 <= high,
            score.low <= 0.8 <= score.high,
            verdict.accuracy.interval(0.95)[0] <= 0 <= verdict.accuracy.interval(0.95)[1],
        )
    accuracy, score_, difference = hits / studies
    return float(accuracy), float(score_), float(difference)


def test_repeated_texts_say_no_more_than_one_each(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random(100) < 0.85, rng.random(100) < 0.7
    ids = np.repeat(np.arange(100), 5)
    whole = study(tmp_path / "whole", {"a": first[ids], "b": second[ids]}, ids, rng)
    single = study(tmp_path / "single", {"a": first, "b": second}, np.arange(100), rng, grouped=False)
    plain = study(tmp_path / "plain", {"a": first[ids], "b": second[ids]}, ids, rng, grouped=False)
    assert interval(whole, whole.done[0]) == pytest.approx(interval(single, single.done[0]), abs=0.002)
    widths = {}
    for name, each in (("whole", whole), ("single", single), ("plain", plain)):
        verdict = judge(each).verdicts[0]
        assert verdict.bootstrap is not None
        assert verdict.discordant is not None
        ends = [verdict.accuracy.interval(0.95), verdict.macro_f1.interval(0.95), verdict.bootstrap.accuracy]
        ends.append(verdict.bootstrap.macro_f1)
        score = decide(each).standings[0].score
        widths[name] = [*(high - low for low, high in ends), score.high - score.low]
        assert (verdict.discordant.p < 1e-6) == (name == "plain")
    assert widths["whole"] == pytest.approx(widths["single"], rel=0.12)
    assert all(narrow < 0.6 * wide for narrow, wide in zip(widths["plain"], widths["whole"], strict=True))


def test_the_page_says_what_intervals_count(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    right, ids = answers(rng, [0.8, 0.7], 40, 3)
    results = study(tmp_path / "grouped", dict(zip("ab", right, strict=True)), ids, rng)
    assert sentence(results) == "Intervals count 40 premises, not 120 texts."
    assert "Intervals count 40 premises, not 120 texts." in summary.build(results).notes
    plain = study(tmp_path / "plain", dict(zip("ab", right, strict=True)), ids, rng, grouped=False)
    assert (sentence(plain), groups_of(plain)) == (None, None)


def test_values_of_a_column_in_words() -> None:
    assert counted("premise", 1000) == "1,000 premises"
    assert [counted(name, 2) for name in ("query", "boxes", "class", "key", "users")] == [
        "2 queries",
        "2 boxes",
        "2 classes",
        "2 keys",
        "2 users",
    ]
    assert (counted("premise", 1), counted("user_id", 20)) == ("1 premise", '20 values of "user_id"')


def test_a_part_of_the_texts_keeps_its_groups() -> None:
    right, ids = np.array([True, False] * 50), np.repeat(np.arange(20), 5)
    part = np.arange(100) >= 50
    assert share(right[part], None) == wilson(25, 50)
    low, high = share(right[part], ids[part])
    assert 0 < low < 0.5 < high < 1
    assert share(right[:0], ids[:0]) == (0.0, 1.0)


def test_intervals_cover_with_ten_texts_a_group(tmp_path: Path) -> None:
    """A short one: 15 studies; intervals over texts would hold the truth in 60 to 80% of them."""
    assert min(coverage(tmp_path, 15, grouped=True, seed=1)) >= 0.85


@pytest.mark.slow
def test_coverage_with_ten_texts_a_group(tmp_path: Path) -> None:
    found = [figure(each, "ten texts a group") for each in coverage(tmp_path / "groups", 400, grouped=True)]
    naive = [figure(each, "counted as texts") for each in coverage(tmp_path / "texts", 100, grouped=False)]
    assert min(found) >= 0.925
    assert max(naive) <= 0.9


def test_a_robustness_set_counts_its_groups(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    ids = np.repeat(np.arange(60), 5)
    results = study(tmp_path, {"a": (rng.random(60) < 0.7)[ids]}, ids, rng)
    frame = results.test.with_columns(pl.lit("other").alias("text") + pl.col("example").cast(pl.String))
    results.store.write_robustness({"hard": frame})
    run = results.done[0]
    results.store.run(run.run_id).write_predictions("hard", results.predictions(run))
    profile = RobustnessProfile("hard.csv", 300, {}, [], [], "print")
    scored = replace(run, robustness={"hard": run.test}, robustness_fingerprints={"hard": "print"})
    grouped = Results(results.store, replace(results.study, runs=[scored], robustness={"hard": profile}))
    assert run.test is not None
    panel = robustness_drops.build(grouped)
    assert isinstance(panel, Panel)
    (method,) = panel.statistics["sets"][0]["methods"]
    assert panel.statistics["sets"][0]["paired"]  # by premise: texts differ
    assert method["drop"] == 0
    assert method["drop_interval_95"] == [0, 0]  # the same answers to the same premises
    shown = panel.tables[0].rows[0]["interval"]
    assert shown == f.percent_range(*interval(grouped, scored)) != f.percent_range(*wilson(210, 300))
