"""Every panel over every synthetic study: the contract, and numbers against scikit-learn."""

from __future__ import annotations

import dataclasses
import json
import pkgutil
import re
from functools import cache
from pathlib import Path

import altair as alt
import numpy as np
import polars as pl
import pytest
import vl_convert
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support
from tests.report.swept import write_swept
from tests.report.synthetic import VARIANTS, Variant, write

from thriftune.analysis import panels
from thriftune.analysis.display.panel import Chart, NotApplicable, Panel
from thriftune.analysis.findings import runs
from thriftune.analysis.findings.answers.cost import cost
from thriftune.analysis.findings.answers.errors import errors
from thriftune.analysis.findings.answers.performance import performance
from thriftune.analysis.findings.caution import caution
from thriftune.analysis.panels import PanelModule, discover, flaw
from thriftune.analysis.panels.answers import summary
from thriftune.analysis.panels.cost import compute
from thriftune.analysis.panels.errors import confidence, words
from thriftune.analysis.panels.performance import classification, curves, replication, seeds
from thriftune.metrics import METRICS
from thriftune.report.theme import figure
from thriftune.results.record import RunRecord
from thriftune.results.store import Results, Store
from thriftune.testing.panels import check_answer


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    written = {name: write(tmp_path_factory.mktemp(name), variant) for name, variant in VARIANTS.items()}
    written["swept"] = write_swept(tmp_path_factory.mktemp("swept"))
    return {name: store.load() for name, store in written.items()}


@cache
def _built(module: PanelModule, results: Results) -> Panel | NotApplicable:
    """A panel of a study: several tests look at the same ones."""
    return module.build(results)


def _applies(module: PanelModule, results: Results) -> Panel:
    panel = _built(module, results)
    assert isinstance(panel, Panel)
    return panel


def test_every_file_of_a_part_is_a_panel_of_its_list() -> None:
    for part in panels.GROUPS:
        package = panels.group(part)
        assert sorted(package.PANELS) == sorted(info.name for info in pkgutil.iter_modules(package.__path__))
    assert len(discover()) == len({module.__name__.rsplit(".", 1)[-1] for module in discover()}) >= 34


@pytest.mark.parametrize("module", discover(), ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_contract(module: PanelModule, studies: dict[str, Results]) -> None:
    assert flaw(module) is None
    assert module.QUESTION.endswith("?")
    applies = [check_answer(_built(module, results)) for results in studies.values()]
    assert len(applies) == len(VARIANTS) + 1
    assert any(applies), "it applies in none of the synthetic studies"


def test_columns_of_a_metric_are_as_it_is_declared(studies: dict[str, Results]) -> None:
    answers = [_built(module, results) for results in studies.values() for module in discover()]
    tables = [table for panel in answers if isinstance(panel, Panel) for table in panel.tables]
    found = [
        column for table in tables for column in table.columns if column.name in METRICS and column.kind != "points"
    ]
    assert len({column.name for column in found}) > 12
    for column in found:
        assert column.kind == METRICS[column.name].kind, column
        assert column.higher_is_better in (None, METRICS[column.name].higher_is_better), column


@pytest.mark.parametrize("name", VARIANTS)
def test_charts_compile(name: str, studies: dict[str, Results]) -> None:
    charts = _charts(studies[name])
    assert len({chart.name for chart in charts}) == len(charts)
    for chart in charts:
        assert vl_convert.vegalite_to_vega(figure(chart.spec))["marks"]


@pytest.mark.parametrize(
    "name", ["nasty", *(pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS if name != "nasty")]
)
def test_charts_are_valid_and_draw(name: str, studies: dict[str, Results]) -> None:
    """Against Vega-Lite's schema, because a misspelt property is silent otherwise; the first of each form."""
    forms = {json.dumps(_form(chart.spec)): chart for chart in reversed(_charts(studies[name]))}
    assert len(forms) > 8
    for chart in forms.values():
        spec = figure(chart.spec)
        values = spec["data"]["values"]
        spec["data"] = {"values": values[:3] + values[-3:]}  # thousands of like rows take the schema seconds
        (alt.LayerChart if "layer" in spec else alt.Chart).from_dict(spec)
        assert vl_convert.vegalite_to_svg(spec).startswith("<svg")


def _form(spec: object) -> object:
    """Which properties a specification has, whatever their values are."""
    if isinstance(spec, dict):
        return {key: _form(value) for key, value in spec.items() if key not in ("data", "sort", "scale", "values")}
    return [_form(value) for value in spec] if isinstance(spec, list) else type(spec).__name__


def _charts(results: Results) -> list[Chart]:
    panels = [_built(module, results) for module in discover()]
    return [chart for panel in panels if isinstance(panel, Panel) for chart in panel.charts]


def test_classification_matches_scikit_learn(studies: dict[str, Results]) -> None:
    results = studies["seeds"]
    panel = _applies(classification, results)
    rows = {row["run"]: row for row in panel.tables[0].rows}
    for run in results.done:
        frame = results.predictions(run)
        true, predicted = frame["label"].to_list(), frame["predicted"].to_list()
        assert rows[run.name]["accuracy"] == pytest.approx(accuracy_score(true, predicted))
        assert rows[run.name]["macro_f1"] == pytest.approx(f1_score(true, predicted, average="macro"))
        assert rows[run.name]["errors"] == sum(a != b for a, b in zip(true, predicted, strict=True))
    table = next(table for table in panel.tables if table.caption == f"{results.done[0].name}, by class")
    frame = results.predictions(results.done[0])
    expected = precision_recall_fscore_support(frame["label"], frame["predicted"], labels=results.labels)
    found = [[row["precision"], row["recall"], row["f1"], row["support"]] for row in table.rows]
    assert np.allclose(found, np.array(expected).T)


def test_seeds_are_averaged(studies: dict[str, Results]) -> None:
    results = studies["seeds"]
    row = _applies(seeds, results).tables[0].rows[0]
    values = [run.test.accuracy for run in results.done if run.test and run.cell == row["cell"]]
    assert row["seeds"] == 2
    assert row["accuracy"] == pytest.approx(np.mean(values))
    assert row["accuracy_sd"] == pytest.approx(np.std(values, ddof=1))


def test_the_first_screen_names_what_must_not_be_compared(studies: dict[str, Results]) -> None:
    results = studies["plain"]
    text = performance(results).text
    assert "lora r64 did not learn" in text
    assert "lora r64" not in cost(results).text + errors(results).text
    found = caution(results)
    assert found is not None
    assert found.bold == "Do not read this as a ranking of the methods."
    assert any("one seed" in note for note in _applies(summary, results).notes)
    assert not any("one seed" in note for note in _applies(summary, studies["seeds"]).notes)


def test_a_study_without_a_finished_run(tmp_path: Path, studies: dict[str, Results]) -> None:
    whole = studies["plain"]
    lost = [run for run in whole.runs if run.status != "done"]
    store = Store(tmp_path)
    store.write_results(dataclasses.replace(whole.study, runs=lost, published={}))
    results = store.load()
    panels = [module.build(results) for module in discover()]
    assert sum(isinstance(panel, Panel) for panel in panels) >= 3
    assert performance(results).text == "No run finished."


def test_learned(studies: dict[str, Results]) -> None:
    verdicts = {run.name: runs.learned(run) for run in studies["plain"].runs}
    assert verdicts == {
        "full": True,
        "top_layers 2": True,
        "lora r8": True,
        "lora r64": False,
        "full on xxl": False,
        "tfidf": True,
        "majority": True,
    }


def test_cost_rows_state_their_protocol(studies: dict[str, Results]) -> None:
    table = _applies(compute, studies["plain"]).tables[0]
    labels = [column.label for column in table.columns]
    assert "batch size (differs)" in labels
    assert "max tokens 256" in table.caption
    assert [row["protocol0"] for row in table.rows][:2] == ["8", "32"]
    majority = table.rows[-1]
    assert majority["peak_memory_bytes"] is None
    assert majority["peak_memory_bytes_reason"] == "no optimisation steps"


def test_ratios(studies: dict[str, Results]) -> None:
    results = studies["plain"]
    table = next(table for table in _applies(compute, results).tables if table.name.startswith("pairs-seconds"))
    full, top = (runs.training_seconds(run) for run in results.done[:2])
    assert full is not None
    assert top is not None
    assert table.rows[0]["c1"] == pytest.approx(full / top)
    assert table.rows[1]["c0"] == pytest.approx(top / full)


def test_words_are_counted_once_per_text(studies: dict[str, Results]) -> None:
    results = studies["two-labels"]
    run = results.done[0]
    counts = words.count(results, [run])
    frame = results.predictions(run)
    wrong = (frame["label"] != frame["predicted"]).to_list()
    texts = [set(re.findall(r"\w\w+", text.lower())) for text in results.test["text"]]
    for word, count, errors in zip(counts.words, counts.texts, counts.errors[0], strict=True):
        assert count == sum(word in text for text in texts)
        assert errors == sum(word in text for text, bad in zip(texts, wrong, strict=True) if bad)
    assert not {"the", "is", "of"} & set(counts.words)
    assert list(counts.errors[0]) == sorted(counts.errors[0], reverse=True)


def test_confidence_is_the_gap_of_probabilities(studies: dict[str, Results]) -> None:
    results = studies["two-labels"]
    row = _applies(confidence, results).tables[0].rows[0]
    wrong = results.predictions(results.done[0]).filter(pl.col("label") != pl.col("predicted"))
    gaps = (wrong["p_ham"] - wrong["p_spam"]).abs()
    assert row["errors"] == len(wrong)
    assert row["median"] == pytest.approx(gaps.median(), rel=1e-5)


def test_published_numbers_stand_beside_measured_ones(studies: dict[str, Results]) -> None:
    results = studies["plain"]
    panel = _applies(replication, results)
    accuracy = {table.name: table for table in panel.tables}["published-accuracy"].rows
    test = results.done[0].test
    assert test is not None
    assert [row["run"] for row in accuracy] == ["full", "lora r8", "nobody"]
    entries = {entry["run"]: entry for entry in panel.statistics["entries"]}
    assert entries["nobody"]["inside"] is None
    for name in ("full", "lora r8"):
        low, high = entries[name]["interval_95"]
        assert entries[name]["inside"] == (low <= entries[name]["published"] <= high)
        assert name in panel.sentences[0]
    assert accuracy[0]["difference"] == pytest.approx(100 * (test.accuracy - 0.7498))
    assert accuracy[2]["measured"] is None
    assert any("nobody" in note for note in panel.notes)
    assert any("surprise" in note for note in panel.notes)


def test_thinned_curves_keep_their_mean() -> None:
    xs, ys = curves.thin(list(range(1, 1001)), [float(i % 7) for i in range(1000)], 50)
    assert len(xs) == len(ys) == 50
    assert np.mean(ys) == pytest.approx(np.mean([i % 7 for i in range(1000)]), rel=1e-3)
    assert curves.thin([1, 2], [3.0, 4.0]) == ([1, 2], [3.0, 4.0])


@pytest.mark.slow
def test_ten_runs_of_a_hundred_thousand_texts(tmp_path: Path) -> None:
    variant = Variant(texts=100_000, seeds=3, troubled=False)
    results = write(tmp_path, variant).load()
    for module in discover():
        module.build(results)


def test_a_few_shared_texts_are_counted_but_not_called_flattering() -> None:
    from thriftune.analysis.panels.data.profile import _leak
    from thriftune.results.profile import SharedText

    few = _leak(SharedText("train", "test", exact=0, first_column=1, rows=3000))
    assert few == "1 of 3,000 test rows shares its first text with train."
    many = _leak(SharedText("train", "test", exact=60, first_column=None, rows=3000))
    assert many is not None
    assert many.endswith("scores may flatter every method.")
    assert _leak(SharedText("train", "test", exact=0, first_column=0, rows=3000)) is None
