"""The panel that sets predictions beside measurements."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.synthetic import VARIANTS, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.panels.cost import prediction
from thriftune.results.store import Results, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return write(tmp_path, VARIANTS["plain"])


def panel_of(results: Results) -> Panel:
    panel = prediction.build(results)
    assert isinstance(panel, Panel)
    return panel


def test_errors_are_shares_of_what_was_measured(store: Store) -> None:
    results = store.load()
    rows = {row["run"]: row for row in panel_of(results).tables[0].rows}
    predicted = [run for run in results.runs if run.predicted is not None]
    assert set(rows) == {run.name for run in predicted}
    for run in predicted:
        row, cost = rows[run.name], run.cost
        assert cost is not None
        assert cost.peak_memory_bytes is not None
        assert run.predicted is not None
        assert row["memory_error"] == pytest.approx(run.predicted.peak_memory_bytes / cost.peak_memory_bytes - 1)
        if run.predicted.train_seconds is None:
            assert row["seconds_error"] is None
            assert row["seconds_error_reason"] == "no probe"
        else:
            assert row["seconds_error"] == pytest.approx(run.predicted.train_seconds / cost.train_seconds - 1)
    assert "to the digit" in panel_of(results).sentences[-1]


def test_a_number_that_should_be_exact_and_is_not_is_named(store: Store) -> None:
    results = store.load()
    run = next(run for run in results.runs if run.predicted is not None)
    assert run.predicted is not None
    wrong = replace(run, predicted=replace(run.predicted, stored_bytes=run.predicted.stored_bytes + 8))
    changed = replace(results.study, runs=[wrong if other is run else other for other in results.runs])
    store.write_results(changed)
    sentence = panel_of(store.load()).sentences[-1]
    assert sentence.startswith("Not met to the digit: stored bytes of")


def test_runs_without_predictions_have_no_panel(store: Store) -> None:
    results = store.load()
    bare = replace(results.study, runs=[replace(run, predicted=None) for run in results.runs])
    store.write_results(bare)
    assert isinstance(prediction.build(store.load()), NotApplicable)


def test_where_validation_decided_the_time_is_for_the_texts_that_were_seen(store: Store) -> None:
    results = store.load()
    run = next(run for run in results.runs if run.predicted is not None and run.cost is not None)
    assert run.predicted is not None
    assert run.cost is not None
    cost = replace(run.cost, samples_per_second=100.0, train_seconds=8.0, prefix_seconds=2.0)
    predicted = replace(run.predicted, train_seconds=20.0, train_samples=4000.0, reasons={})
    auto = replace(run, cost=cost, predicted=predicted, protocol={**run.protocol, "epochs": "auto"})
    store.write_results(replace(results.study, runs=[auto if other is run else other for other in results.runs]))
    panel = panel_of(store.load())
    row = next(row for row in panel.tables[0].rows if row["run"] == run.name)
    assert row["predicted_seconds"] == pytest.approx(5.0), "1,000 texts of the 4,000"
    assert row["seconds_error"] == pytest.approx(5 / 8 - 1)
    assert "how many there would be was a guess" in panel.notes[-1]


def test_costs_that_were_met_need_no_table(store: Store) -> None:
    results = store.load()
    runs = [
        run
        if run.predicted is None or run.cost is None
        else replace(run, predicted=replace(run.predicted, peak_memory_bytes=run.cost.peak_memory_bytes, reasons={}))
        for run in results.runs
    ]
    store.write_results(replace(results.study, runs=runs))
    panel = panel_of(store.load())
    assert not any("memory" in column.name for column in panel.tables[0].columns)
    assert panel.sentences[0] == "Peak memory was predicted as measured in all 3 runs."
    met = [
        replace(run, predicted=replace(run.predicted, train_seconds=run.cost.train_seconds))
        if run.predicted and run.cost
        else run
        for run in runs
    ]
    store.write_results(replace(results.study, runs=met))
    assert panel_of(store.load()).tables == []
