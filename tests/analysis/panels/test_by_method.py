"""What the page draws by method where there are many classes, runs or seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.report.synthetic import Variant, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.views import classes as class_views
from thriftune.analysis.findings.views.classes import HARDEST
from thriftune.analysis.panels import discover
from thriftune.analysis.panels.errors import overlap, words
from thriftune.analysis.panels.performance import classification, curves
from thriftune.results.store import Results


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """20 classes, three methods with four seeds each, a run that did not learn and one that failed."""
    labels = tuple(f"class {i}" for i in range(20))
    variant = Variant(labels=labels, columns=("text",), texts=800, seeds=4)
    return write(tmp_path_factory.mktemp("many"), variant).load()


def panel_of(module: Any, results: Results) -> Panel:
    panel = module.build(results)
    assert isinstance(panel, Panel)
    return panel


def test_the_hardest_classes_by_method(study: Results) -> None:
    panel = panel_of(classification, study)
    assert panel.open_charts == 1
    matrix = panel.charts[0]
    assert "5 others are left out" in matrix.description
    rows = matrix.spec["data"]["values"]
    methods = [each.cell for each in decide(study).standings if each.place != "not learned"]
    assert list(dict.fromkeys(row["column"] for row in rows)) == [cell.name for cell in methods]
    assert len(rows) == HARDEST * len(methods)
    for row in rows:
        cell = next(cell for cell in methods if cell.name == row["column"])
        rates = [1 - test.per_class[row["name"]].recall for test in class_views.tests(cell)]
        assert row["share"] == pytest.approx(np.mean(rates), abs=1e-5)


def test_disagreement_by_method(study: Results) -> None:
    panel = panel_of(overlap, study)
    assert panel.open_charts == len(panel.charts) == 1
    found = {(row["name"], row["column"]): row["share"] for row in panel.charts[0].spec["data"]["values"]}
    assert len(found) == 9, "three methods with each other and with their own seeds"
    right = {
        run.run_id: frame["label"] == frame["predicted"] for run in study.done for frame in [study.predictions(run)]
    }
    runs = {name: [run for run in study.done if run.cell == name] for name, _ in found}
    for (first, second), share in found.items():
        pairs = [(a, b) for a in runs[first] for b in runs[second] if a is not b]
        expected = np.mean([(right[a.run_id] != right[b.run_id]).mean() for a, b in pairs])
        assert share == pytest.approx(expected, abs=1e-5)


def test_training_is_small_multiples_on_the_same_axes(study: Results) -> None:
    panel = panel_of(curves, study)
    charts = panel.charts[: panel.open_charts]
    assert [chart.title for chart in charts] == [
        "full: accuracy",
        "top_layers 2: accuracy",
        "lora r8: accuracy",
        "lora r64: accuracy",
    ]
    assert all(chart.small for chart in charts)
    axes = [[chart.spec["layer"][0]["encoding"][axis]["scale"]["domain"] for axis in "xy"] for chart in charts]
    assert all(each == axes[0] for each in axes)
    lines = {row["line"] for row in charts[0].spec["data"]["values"] if row["split"] == "validation"}
    assert len(lines) == 4, "one for each seed"
    assert "one line for each of its 4 seeds" in charts[0].description
    assert charts[-1].description.endswith("It did not learn, and lies outside them.")


def test_no_row_and_no_bar_is_a_run_where_it_can_be_a_method(study: Results) -> None:
    seeds = {run.name for run in study.runs if run.name != run.cell}
    built = {module.__name__.rsplit(".", 1)[-1]: module.build(study) for module in discover()}
    by_run = ("summary", "environment", "dynamics", "prediction")
    panels = {name: each for name, each in built.items() if isinstance(each, Panel) and name not in by_run}
    assert len(panels) > 15
    for name, panel in panels.items():
        first = panel.tables[0].rows if panel.tables and not panel.open_charts else []
        assert not any(str(value) in seeds for row in first for value in row.values()), name
        for chart in panel.charts:
            drawn = {row.get(key) for row in chart.spec["data"]["values"] for key in ("name", "series", "column")}
            assert not drawn & seeds, chart.name


def test_words_are_counted_for_a_published_study_alone(study: Results) -> None:
    answer = words.build(study)
    assert isinstance(answer, NotApplicable)
    assert "published" in answer.reason
    published = replace(study.study, published={study.runs[0].name: {"accuracy": 0.7}})
    assert isinstance(words.build(Results(study.store, published)), Panel)
