"""The search's panel on made-up trials: expectations against brute force, sentences, and charts that draw."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pytest
import vl_convert
from tests.report.synthetic import VARIANTS, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.judgement import judge
from thriftune.analysis.findings.runs import difference_sentence, differing
from thriftune.analysis.findings.search import curve_of, lines
from thriftune.analysis.panels.performance import search
from thriftune.analysis.statistics.expected_best import budgets, expected_best
from thriftune.report.printed.table import panel_rows
from thriftune.report.theme import figure
from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch, Searched, StudySearch, Trial
from thriftune.results.store import Results

SCORES = [0.7, 0.81, 0.7, 0.9]


def trial(number: int, score: float | None, state: Any = "complete", seconds: float = 2.0) -> Trial:
    message = None if state == "complete" else "why"
    params = {"learning_rate": 0.001 * number, "epochs": number, "targets": ["query", "value"]}
    return Trial(number, number, params, state, score, message, 2.0, 10, 1.0 if number == 1 else 0.0, seconds, 0.5)


def cell(name: str, scores: list[float | None], select: Any = "accuracy", seconds: float = 2.0) -> CellSearch:
    trials = [
        trial(number, score, "diverged" if score is None else "complete", seconds)
        for number, score in enumerate(scores, start=1)
    ]
    return CellSearch(name, "demo:minilm", {"name": name}, "key", {"epochs": [1, 9]}, select, trials)


def searched(run: RunRecord, epochs: int, most: int = 9) -> RunRecord:
    """A run whose epochs a search chose."""
    found = Searched({"epochs": epochs}, {"epochs": [1, most]}, "accuracy", 0.9, 4, 4, 0, 0, 9.0, 8.0, 1)
    return replace(run, protocol=run.protocol | {"epochs": epochs}, searched=found)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    """A study without trouble whose methods were searched."""
    store = write(tmp_path, replace(VARIANTS["two-labels"], baselines=True))
    found = store.load()
    runs = [searched(run, 2 + i) if run.model else run for i, run in enumerate(found.runs)]
    store.write_results(replace(found.study, study={"name": "x", "search": {"trials": 4}}, runs=runs))
    names = [run.cell for run in runs if run.model]
    cells = [cell(names[0], [*SCORES]), cell(names[1], [0.85, None, 0.86, 0.84], seconds=4.0)]
    store.write_search(StudySearch(4, None, "median", 0, cells))
    return store.load()


@pytest.mark.parametrize("scores", [SCORES, [0.5], [0.2, 0.4, 0.4]])
@pytest.mark.parametrize("trials", [1, 2, 5])
def test_expected_best_is_that_of_all_draws(scores: list[float], trials: int) -> None:
    found = expected_best(np.array(scores), trials)
    draws = np.sort([max(draw) for draw in product(scores, repeat=trials)])
    assert found.mean == pytest.approx(draws.mean())
    for share, end in ((0.05, found.low), (0.95, found.high)):
        at_most = [float((draws <= score).mean()) for score in sorted(set(scores))]
        assert end == next(s for s, p in zip(sorted(set(scores)), at_most, strict=True) if p >= share - 1e-9)


def test_a_loss_is_better_when_lower() -> None:
    curve = curve_of(cell("full", [0.7, 0.5, 0.6], "loss"))
    assert curve is not None
    best = curve.best(2)
    assert best.mean == pytest.approx(np.mean([min(draw) for draw in product([0.7, 0.5, 0.6], repeat=2)]))
    assert best.low <= best.mean <= best.high
    assert (curve.cell.best or trial(0, None)).score == 0.5
    assert curve.gain(1, 3) > 0


def test_what_diverged_counts_as_the_lowest_and_what_was_pruned_with_its_score() -> None:
    made = cell("full", [0.7, None, 0.8])
    pruned = replace(made, trials=[*made.trials, trial(4, 0.75, "pruned")])
    curve = curve_of(pruned)
    assert curve is not None
    assert curve.scores.tolist() == [0.7, 0.7, 0.8, 0.75]
    assert (pruned.best or trial(0, None)).number == 3
    assert curve_of(cell("full", [None, None])) is None
    assert cell("full", [None]).best is None


def test_budgets() -> None:
    assert budgets(4) == [1, 2, 3, 4]
    many = budgets(5000)
    assert (len(many), many[0], many[-1]) == (100, 1, 5000)


def test_panel(results: Results) -> None:
    panel = search.build(results)
    assert isinstance(panel, Panel)
    text = " ".join(panel.sentences)
    first, second = (each.cell for each in results.search.cells) if results.search else ("", "")
    assert f"Each method was searched with 4 trials: {first} 90.0% and {second} 86.0%." in text
    assert f"{first} profits most from the search: one random setting is expected to reach accuracy 77.8%" in text
    assert f"The order depends on the budget: {second} is ahead with one trial, {first} from" in text
    assert "more search may pay. `--set search.trials=8` goes on with it." in text
    assert "it is part of no run's cost" in text
    rows = panel_rows(panel.tables[0])
    assert [row["Method"] for row in rows] == [first, second]
    assert rows[0]["With"] == "learning rate 0.004, epochs 4, targets query+value"
    assert [row["Diverged or failed"] for row in rows] == ["0", "1"]
    assert len(panel.tables[1].rows) == 8
    assert any("Not searched, having none of the keys" in note for note in panel.notes)
    for chart in panel.charts:
        json.dumps(chart.spec, allow_nan=False)
        alt.LayerChart.from_dict(figure(chart.spec))
        assert vl_convert.vegalite_to_svg(figure(chart.spec)).startswith("<svg")
    seconds = {row["series"]: row["x"] for row in panel.charts[1].spec["data"]["values"] if row["trials"] == 4}
    assert seconds == {first: 11.0, second: 19.0}
    assert len(lines(results)) == 2
    assert lines(results)[0].endswith("4 trials in 11.0 s, no part of its Time.")


def test_more_search_is_not_worth_it_where_all_settings_score_alike(results: Results) -> None:
    assert results.search is not None
    flat = [cell("full", [0.9, 0.9, 0.9, 0.9])]
    results.store.write_search(replace(results.search, cells=flat))
    panel = search.build(results.store.load())
    assert isinstance(panel, Panel)
    assert any("within the margin of 0.5 points: more search is not worth it" in each for each in panel.sentences)


def test_unequal_budgets_are_said(results: Results) -> None:
    assert results.search is not None
    first, second = results.search.cells
    results.store.write_search(replace(results.search, cells=[first, replace(second, trials=second.trials[:2])]))
    panel = search.build(results.store.load())
    assert isinstance(panel, Panel)
    assert "2 to 4 trials" in panel.sentences[0]
    assert "Their budgets are not equal" in panel.sentences[1]


def test_losses_have_charts_of_their_own(results: Results) -> None:
    assert results.search is not None
    both = [*results.search.cells, cell("other", [0.4, 0.3], "loss"), cell("lost", [None])]
    results.store.write_search(replace(results.search, cells=both))
    panel = search.build(results.store.load())
    assert isinstance(panel, Panel)
    assert [chart.name for chart in panel.charts] == [
        "search-trials",
        "search-seconds",
        "search-trials-loss",
        "search-seconds-loss",
    ]
    for chart in panel.charts:
        assert vl_convert.vegalite_to_vega(figure(chart.spec))["marks"]
    assert len(panel_rows(panel.tables[0])) == 4


def test_a_study_without_a_search_has_no_panel(tmp_path: Path) -> None:
    assert isinstance(search.build(write(tmp_path, VARIANTS["two-labels"]).load()), NotApplicable)


def test_verdicts_take_searched_settings_as_part_of_the_method(results: Results) -> None:
    runs = [run for run in results.done if run.model]
    assert differing(runs, machine=False) == {}
    assert "epochs" in differing(runs), "costs say that they differ"
    assert (difference_sentence(runs) or "").startswith("The search chose different settings for these runs: epochs")
    assert judge(results).verdicts
    other = [runs[0], searched(runs[1], 5, most=5)]
    assert "epochs" in differing(other, machine=False), "another space is another protocol"
    assert "epochs" in differing([runs[0], replace(runs[1], searched=None)], machine=False)
