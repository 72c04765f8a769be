"""The panels that explain cost: parts, depth against method, storage of many tasks, recommendation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vl_convert
from tests.report.synthetic import VARIANTS, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.choice import Limits, advise, measured, reasons
from thriftune.analysis.panels.answers import recommendation
from thriftune.analysis.panels.cost import breakdown, depth, in_use, storage
from thriftune.report.theme import figure
from thriftune.results.cost import Memory
from thriftune.results.store import Results, Store


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("plain"), VARIANTS["plain"]).load()


def panel_of(module: Any, results: Results) -> Panel:
    panel = module.build(results)
    assert isinstance(panel, Panel)
    for each in panel.charts:
        assert vl_convert.vegalite_to_svg(figure(each.spec)).startswith("<svg")
    return panel


def grid_of(results: Results, seconds: Any) -> Results:
    """A study of three methods at depths 1, 2 and 6, whose training takes `seconds(method, depth)`."""
    run = results.done[1]
    assert run.cost is not None
    runs = []
    for name in ("top_layers", "lora", "lora_fa"):
        for layers in (1, 2, 6):
            method = {"name": name, "layers": layers} | ({"rank": 8} if "lora" in name else {})
            cost = replace(
                run.cost,
                train_seconds=seconds(name, layers),
                prefix_seconds=0.0,
                gradient_layers=layers,
                peak_memory_bytes=1000 * layers,
            )
            title = f"{name} {layers}"
            runs.append(replace(run, run_id=title, name=title, cell=title, method=method, cost=cost))
    return Results(results.store, replace(results.study, runs=runs))


def test_every_part_of_memory_and_of_a_step_stands_in_a_table(plain: Results) -> None:
    panel = panel_of(breakdown, plain)
    memory, seconds = panel.tables
    for row in memory.rows:
        assert sum(row[name] for name in breakdown.MEMORY) == row["peak"]
    for row in seconds.rows:
        assert sum(row[name] for name in breakdown.PASSES) == pytest.approx(row["forward"] + row["backward"])
    assert [chart.name for chart in panel.charts] == ["peak-memory", "step-phases", "step-depth"]


def test_the_sentence_says_what_dominates_and_why(plain: Results) -> None:
    runs = []
    for run in plain.done[:3]:
        assert run.cost is not None
        deep = "lora" in run.name
        memory = Memory(10, 1, 2, 80 if deep else 20 if "top" in run.name else 60, 0, 7)
        runs.append(replace(run, cost=replace(run.cost, memory=memory, peak_memory_bytes=sum(vars(memory).values()))))
    first, second = panel_of(breakdown, Results(plain.store, replace(plain.study, runs=runs))).sentences
    assert (
        "Most memory: lora r8, 100 B; 80% of that is saved activations (it keeps activations of 6 of 6 layers)" in first
    )
    assert "lora r8 trains fewer parameters than top_layers 2 and saves 4x the activations" in first.replace(
        "4.0x", "4x"
    )
    assert "its gradients pass 6 of 6 layers; those of top_layers 2 pass 2 of 6 layers" in first
    assert second.startswith("A step of lora r8 takes")
    assert "its own matrix products" in second


def test_runs_of_an_earlier_release_are_said_not_to_be_told_apart(plain: Results) -> None:
    unknown: dict[str, Any] = dict.fromkeys(("memory", "step_seconds", "pass_seconds", "gradient_layers"))
    runs = [replace(run, cost=replace(run.cost, **unknown)) for run in plain.done[:2] if run.cost is not None]
    panel = panel_of(breakdown, Results(plain.store, replace(plain.study, runs=runs)))
    assert panel.sentences == ["The parts of memory and time were not measured."]
    assert panel.tables[0].rows[0][breakdown.UNKNOWN] == panel.tables[0].rows[0]["peak"]


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        (lambda _, layers: 10.0 * layers, "Training time follows depth"),
        (lambda name, _: {"top_layers": 10.0, "lora": 40.0, "lora_fa": 90.0}[name], "follows the method"),
        (lambda name, layers: (1.0 + layers) * {"top_layers": 1.0, "lora": 3.0, "lora_fa": 2.5}[name], "follows both"),
    ],
)
def test_cost_follows_what_was_made_to_drive_it(plain: Results, seconds: Any, verdict: str) -> None:
    panel = panel_of(depth, grid_of(plain, seconds))
    assert verdict in panel.sentences[0]
    assert "Peak memory follows depth" in panel.sentences[1]
    table = next(table for table in panel.tables if table.name.startswith("depth-seconds"))
    assert {row["method"]: row["d2"] for row in table.rows}["lora r8"] == pytest.approx(seconds("lora", 2))


def test_shares_are_those_of_a_two_way_analysis_of_variance(plain: Results) -> None:
    rng = np.random.default_rng(0)
    logs = rng.normal(size=(3, 3))
    names, depths = ["top_layers", "lora", "lora_fa"], [1, 2, 6]
    results = grid_of(plain, lambda name, layers: float(np.exp(logs[names.index(name), depths.index(layers)])))
    grid = depth.placed(depth.cells(results.runs))
    found = depth.shares(grid, "seconds")
    rows, columns = logs.mean(axis=1, keepdims=True), logs.mean(axis=0, keepdims=True)
    rest = ((logs - rows - columns + logs.mean()) ** 2).sum() / ((logs - logs.mean()) ** 2).sum()
    assert found is not None
    assert sum(found) == pytest.approx(1 - rest)
    assert found[0] == pytest.approx(3 * ((columns - logs.mean()) ** 2).sum() / ((logs - logs.mean()) ** 2).sum())


def test_one_depth_a_method_answers_nothing(plain: Results) -> None:
    assert isinstance(depth.build(plain), NotApplicable)


def test_many_tasks_count_the_pretrained_model_once_for_adapters(plain: Results, tmp_path: Path) -> None:
    panel = panel_of(storage, plain)
    table = next(table for table in panel.tables if table.name.startswith("tasks"))
    rows = {row["cell"]: row for row in table.rows}
    lora, top = rows["lora r8"], rows["top_layers 2"]
    assert (lora["tasks1"], lora["tasks20"]) == (90_000_000 + 900_000, 90_000_000 + 20 * 900_000)
    assert (top["tasks1"], top["tasks20"]) == (91_000_000, 20 * 91_000_000)
    assert top["deltas"] == 90_000_000 + 100 * 3_600_000 * 4
    assert any("20 tasks on one pretrained model take 108.0 MB with lora" in text for text in panel.sentences)
    old = [replace(run, cost=replace(run.cost, pretrained_bytes=None, adapter=None)) for run in plain.done if run.cost]
    store = Store(tmp_path)
    assert len(panel_of(storage, Results(store, replace(plain.study, runs=old))).tables) == 1


def test_the_panel_ranks_measured_cells(plain: Results) -> None:
    panel = panel_of(recommendation, plain)
    assert panel.sentences[0].startswith("Take ")
    rows = panel.tables[0].rows
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["name"] for row in rows if row["memory_reason"]] == ["tfidf"]
    assert panel.statistics["taken"] == rows[0]["name"]
    assert "lora r64" not in {row["name"] for row in panel.tables[0].rows}


def test_in_use(plain: Results) -> None:
    """Every stored model's latency and memory; nothing where no run measured them."""
    runs = [run for run in plain.runs if run.cost is not None]
    none = dict.fromkeys(("latency_seconds", "latency_p95_seconds", "predict_texts_per_second"))
    old = [replace(run, cost=replace(run.cost, **none)) for run in runs if run.cost is not None]
    assert isinstance(in_use.build(Results(plain.store, replace(plain.study, runs=old))), NotApplicable)
    made = []
    for place, run in enumerate(runs):
        assert run.cost is not None
        reasons = {**run.cost.reasons, "predict_memory_bytes": "no tensors"} if place == 0 else run.cost.reasons
        memory = None if place == 0 else 1_000_000 * place
        cost = replace(run.cost, latency_seconds=0.001 * (place + 1), predict_memory_bytes=memory, reasons=reasons)
        made.append(replace(run, cost=cost))
    panel = panel_of(in_use, Results(plain.store, replace(plain.study, runs=made)))
    assert "as long" in panel.sentences[0]
    assert "MB" in panel.sentences[1]
    assert panel.tables[0].rows[0]["predict_memory_bytes_reason"] == "no tensors"


def test_latency_is_a_limit(plain: Results) -> None:
    runs = [
        replace(run, cost=replace(run.cost, latency_seconds=0.001 * (place + 1)))
        for place, run in enumerate(plain.runs)
        if run.cost is not None
    ]
    results = Results(plain.store, replace(plain.study, runs=runs))
    found = measured(results)
    limit = sorted(each.latency or 0 for each in found)[1]
    advice = advise(found, Limits(latency_seconds=limit), results)
    assert sum(each.rank is not None for each in advice.ranked) == 2
    assert all("for one text" in (each.misfit or "") for each in advice.ranked if each.rank is None)
    text = " ".join(reasons(advise(found, Limits(latency_seconds=1e-5), results)))
    assert "With --latency" in text
    assert "something does" in text
