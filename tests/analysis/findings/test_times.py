"""Ratios of training times with their intervals, and searches that were not equal."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from tests.report.synthetic import VARIANTS, write

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings.runs import Cell, cells
from thriftune.analysis.findings.times import as_fast, ratio_words, times_as_long
from thriftune.analysis.findings.tried import tried, unequal
from thriftune.analysis.panels.cost import compute
from thriftune.analysis.statistics.ratios import TimeRatio
from thriftune.results.store import Results


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("plain"), VARIANTS["plain"]).load()


def costing(results: Results, name: str, **changes: Any) -> Results:
    """The results with other costs of one run."""
    runs = [
        dataclasses.replace(run, cost=dataclasses.replace(run.cost, **changes)) if run.name == name else run  # type: ignore[type-var]
        for run in results.runs
    ]
    return Results(results.store, dataclasses.replace(results.study, runs=runs))


def cell(results: Results, name: str) -> Cell:
    return next(cell for cell in cells(results.done) if cell.name == name)


def panel(results: Results) -> Panel:
    found = compute.build(results)
    assert isinstance(found, Panel)
    return found


def test_one_run_of_each_is_worth_an_interval() -> None:
    assert ratio_words(TimeRatio(2.0, 1.5, 2.6)) == "about 2x, 1.5 to 2.6"
    assert ratio_words(TimeRatio(0.452, 0.34, 0.6)) == "about 0.45x, 0.34 to 0.60"


def test_twice_the_time_is_said_with_its_interval(plain: Results) -> None:
    found = times_as_long(plain, cell(plain, "full"), cell(plain, "top_layers 2"))
    assert found is not None
    assert found.value == pytest.approx(148.8 / 66.2)
    assert found.low < 1.8 < found.value < 2.8 < found.high
    assert as_fast(found) == "about 2.2x as fast (1.7 to 3)"
    assert f"(full), {ratio_words(found)}; peak memory" in panel(plain).sentences[0]
    assert "as much (exact: a repeat takes as much)" in panel(plain).sentences[0]


def test_below_a_third_more_no_method_is_faster(plain: Results) -> None:
    results = costing(plain, "full", train_seconds=80.0)
    results = costing(results, "lora r8", train_seconds=75.0)
    assert as_fast(times_as_long(results, cell(results, "full"), cell(results, "top_layers 2"))) is None
    assert "too close to call either faster (about 1.2x, " in panel(results).sentences[0]


def test_the_table_marks_no_time_as_the_best(plain: Results) -> None:
    marked = {column.name for column in panel(plain).tables[0].columns if column.higher_is_better is not None}
    assert marked == {"peak_memory_bytes"}


def test_what_others_may_have_taken_widens_the_interval(plain: Results) -> None:
    quiet = times_as_long(plain, cell(plain, "full"), cell(plain, "top_layers 2"))
    results = costing(plain, "full", train_cpu_seconds=100.0, train_waited_seconds=50.0, threads=2)
    held_up = times_as_long(results, cell(results, "full"), cell(results, "top_layers 2"))
    assert quiet is not None
    assert held_up is not None
    assert held_up.low == pytest.approx(quiet.low * 100 / 150)
    assert held_up.high == quiet.high


def test_a_search_stands_apart_from_training(plain: Results) -> None:
    results = costing(plain, "lora r8", search_seconds=40.0, threads=2, load_at_start=0.5)
    found = panel(results)
    assert any("lora r8 40.0 s of 1 min 58 s" in text for text in found.sentences)
    labels = [column.label for column in found.tables[0].columns]
    assert {"Of it search", "Threads", "Load at start"} <= set(labels)
    assert "Of it search" not in [column.label for column in panel(plain).tables[0].columns]


def test_searches_that_were_not_equal_are_said(plain: Results) -> None:
    lora, top = cell(plain, "lora r8"), cell(plain, "top_layers 2")
    assert (tried(lora), tried(top), tried(cell(plain, "tfidf"))) == (2, 1, None)
    assert unequal(lora, top) == "rates tried: 2 and 1"
    assert unequal(top, cell(plain, "full")) is None
    asked = dataclasses.replace(lora.runs[0], method={**lora.runs[0].method, "learning_rate": [1e-4, 2e-4, 3e-4]})
    assert tried(Cell("lora r8", [asked])) == 3
    auto = dataclasses.replace(lora.runs[0], notes=["Learning rate 0.1 diverged: loss is nan"])
    assert tried(Cell("lora r8", [auto])) == 3
