"""Hundreds of classes, dozens of runs: every chart and table stays bounded and says what it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.analysis.summarised import summarised
from tests.report.synthetic import Variant, sure, write, write_runs

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings import classes
from thriftune.analysis.findings.errors.hard_labels import label_errors
from thriftune.analysis.findings.errors.hardest import FEWEST, hardest
from thriftune.analysis.findings.views.classes import HARDEST
from thriftune.analysis.panels import discover
from thriftune.analysis.panels.performance import classification
from thriftune.report.first import first
from thriftune.report.printed.brief import brief
from thriftune.report.printed.table import verdict_sentences
from thriftune.report.render import TABLE_ROWS, write_report
from thriftune.results.store import Results

MARKS = 5_000
"""Of one chart, layers with data of their own included."""
HEIGHT = 6_000
SENTENCE = 1_500


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """150 classes and 19 fine-tuned runs, with everything that a panel may want."""
    labels = tuple(f"class number {i}" for i in range(150))
    variant = Variant(labels=labels, texts=300, seeds=6, annotators=True, further_texts=100)
    return write(tmp_path_factory.mktemp("crowded"), variant).load()


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """900 classes; the second run takes 3 for 7 and 8 for 9 more often than anything else, on 600 texts."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 900, 600)
    truth[:90] = np.repeat([3, 8], 45)
    probabilities = sure(truth, rng.random(600) < 0.2, 900, rng)
    confused = sure(truth, rng.random(600) < 0.2, 900, rng)
    confused[:90] = 1e-4
    confused[np.arange(90), np.where(truth[:90] == 3, 7, 9)] = 0.9
    texts: dict[str, Any] = {"text": [f"text number {i}" for i in range(600)], "label": truth}
    out = tmp_path_factory.mktemp("many")
    labels = tuple(f"c{i}" for i in range(900))
    return write_runs(out, texts, labels, {"sound": probabilities, "confused": confused}).load()


def marks(spec: dict[str, Any]) -> int:
    return len(spec.get("data", {}).get("values", [])) + sum(marks(layer) for layer in spec.get("layer", []))


@pytest.mark.parametrize("module", discover(), ids=lambda module: module.__name__.rsplit(".", 1)[-1])
@pytest.mark.parametrize("study", ["crowded", "many"])
def test_every_panel_is_bounded(module: Any, study: str, request: pytest.FixtureRequest) -> None:
    panel = module.build(request.getfixturevalue(study))
    if isinstance(panel, NotApplicable):
        assert len(panel.reason) <= SENTENCE
        return
    for chart in panel.charts:
        assert marks(chart.spec) <= MARKS, chart.name
        assert not isinstance(chart.spec.get("height"), int) or chart.spec["height"] <= HEIGHT, chart.name
    assert sum(len(table.rows) * len(table.columns) for table in panel.tables) <= 40_000
    assert all(len(sentence) <= SENTENCE for sentence in [*panel.sentences, *panel.notes])


@pytest.mark.slow
def test_a_report_of_900_classes(many: Results) -> None:
    page = write_report(many.store.path)
    assert page.stat().st_size < 15e6
    figures = list((many.store.path / "figures").iterdir())
    assert len(figures) > 5
    assert max(path.stat().st_size for path in figures) < 3e6
    assert f"The first {TABLE_ROWS} of 901 rows." in page.read_text(encoding="utf-8")


def test_a_first_screen_where_every_label_with_enough_texts_is_far_harder(many: Results) -> None:
    """Two labels have ten texts or more, one run misses them all, and there is no easier label to set beside them."""
    enough = [each for each in label_errors(many) if each.texts >= FEWEST]
    assert len(enough) == 2
    assert all(each.hard for each in enough)
    text = hardest(many)
    assert text.startswith("2 of 900 labels are far harder, c")
    assert "the others" not in text
    answer = first(many).answers[-1]
    assert answer.text.startswith("2 of 900 labels are far harder")
    assert any(line.name == "Errors" and line.text.startswith("2 of 900 labels") for line in brief(many).lines)


def panel_of(results: Results) -> Panel:
    panel = classification.build(results)
    assert isinstance(panel, Panel)
    return panel


def test_the_most_confused_classes_are_drawn(many: Results) -> None:
    chart = next(chart for chart in panel_of(many).charts if chart.name.startswith("confusion-2"))
    rows = chart.spec["data"]["values"]
    top = sorted((row for row in rows if row["true"] != row["predicted"]), key=lambda row: -row["count"])[:2]
    assert {(row["true"], row["predicted"]) for row in top} == {("c3", "c7"), ("c8", "c9")}
    assert len(rows) <= classes.DRAWN**2
    assert "Of 900 classes, the" in chart.description
    assert many.runs[1].test is not None
    whole = sum(map(sum, many.runs[1].test.confusion))
    assert f"of {whole:,} on the diagonal" in chart.description, "counted over all classes"


def test_the_hardest_classes_are_drawn_and_listed(many: Results) -> None:
    panel = panel_of(many)
    matrix = next(chart for chart in panel.charts if chart.name == "errors-by-class")
    assert "885 others are left out" in matrix.description
    names = list(dict.fromkeys(row["name"] for row in matrix.spec["data"]["values"]))
    assert len(names) == HARDEST
    rates = {
        label: sum(1 - run.test.per_class[label].recall for run in many.runs if run.test)
        for label in many.labels
        if many.runs[0].test and many.runs[0].test.per_class[label].support
    }
    assert min(rates[name] for name in names) >= max(rate for label, rate in rates.items() if label not in names)
    assert [rates[name] for name in names] == sorted((rates[name] for name in names), reverse=True)
    table = next(table for table in panel.tables if table.name.startswith("classes-2"))
    assert len(table.rows) == classes.LISTED
    assert "800 others are in results.json" in table.caption
    assert all(row["support"] for row in table.rows)
    assert "c3" in {row["label"] for row in table.rows}


def test_few_classes_are_all_shown(tmp_path: Path) -> None:
    results = write(tmp_path, Variant(texts=200)).load()
    panel = panel_of(results)
    assert not any("left out" in chart.description or " classes, the" in chart.description for chart in panel.charts)
    assert all(len(table.rows) == 3 for table in panel.tables if table.name.startswith("classes-"))


def test_a_run_with_hardly_an_error_still_has_a_matrix(many: Results) -> None:
    diagonal = [[0] * 900 for _ in range(900)]
    for i in range(900):
        diagonal[i][i] = 900 - i
    shown = classes.most_confused(diagonal, 40)
    assert shown == list(range(classes.FEWEST))


def test_the_terminal_stays_readable(crowded: Results) -> None:
    sentences = [*(each.text for each in brief(crowded).lines), *verdict_sentences(summarised(crowded))]
    assert max(map(len, sentences)) <= SENTENCE
    assert len(sentences) < 30
