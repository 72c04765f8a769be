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
from thriftune.analysis.findings.choice import Candidate, Limits, front, rank, reasons
from thriftune.analysis.panels.answers import recommendation
from thriftune.analysis.panels.cost import breakdown, depth, storage
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


def candidate(name: str, accuracy: float | None, memory: float, seconds: float, stored: float = 90.0) -> Candidate:
    interval = None if accuracy is None else (accuracy - 0.01, accuracy + 0.01)
    return Candidate(
        name=name,
        model="m",
        measured=accuracy is not None,
        accuracy=accuracy,
        interval=interval,
        memory=memory,
        seconds=seconds,
        stored_bytes=stored,
        shared_bytes=0 if stored == 90.0 else 90.0,
    )


FULL = candidate("full", 0.80, 1000, 100)
LORA = candidate("lora", 0.79, 600, 80, stored=1.0)
TOP = candidate("top", 0.785, 300, 40)
HEAD = candidate("head", 0.60, 100, 10)
WORSE = candidate("worse", 0.70, 700, 90)
ALL = [FULL, LORA, TOP, HEAD, WORSE]


def test_the_front_is_what_a_brute_force_finds() -> None:
    assert [c.name for c in front(ALL, lambda c: c.memory)] == ["head", "top", "lora", "full"]
    rng = np.random.default_rng(1)
    many = [candidate(str(i), a, m, 1) for i, (a, m) in enumerate(rng.integers(1, 12, (60, 2)) / 12)]
    dominated = {
        a.name
        for a in many
        for b in many
        if (b.accuracy, -(b.memory or 0)) != (a.accuracy, -(a.memory or 0))
        if (b.accuracy or 0) >= (a.accuracy or 0) and (b.memory or 0) <= (a.memory or 0)
    }
    assert {c.name for c in front(many, lambda c: c.memory)} == {c.name for c in many} - dominated


def test_the_cheapest_of_those_that_accuracy_does_not_tell_apart_comes_first() -> None:
    ranked = rank(ALL, Limits())
    assert [each.candidate.name for each in ranked] == ["top", "lora", "full", "worse", "head"]
    text = reasons(ranked, Limits())
    assert text[0].startswith("Take top: 78.5% accuracy in 40.0 s with 300 B. full reaches 80.0%")
    assert "top trains fastest of those that do" in text[0]
    assert text[1] == "Not beaten in both accuracy and memory: top, lora, full and head."


def test_many_tasks_make_storage_count() -> None:
    ranked = rank(ALL, Limits(tasks=20))
    assert ranked[0].candidate is LORA
    assert "lora stores least" in reasons(ranked, Limits(tasks=20))[0]


def test_limits_leave_out_what_does_not_fit_and_say_why() -> None:
    limits = Limits(memory_bytes=250, seconds=50)
    ranked = rank(ALL, limits)
    assert [(each.candidate.name, each.rank) for each in ranked][:2] == [("head", 1), ("full", None)]
    assert ranked[1].misfit == "1.00 kB memory, 1 min 40 s training time"
    nothing = reasons(rank(ALL, Limits(memory_bytes=50)), Limits(memory_bytes=50))
    assert nothing[0] == "Nothing fits; the least memory is 100 B (head)."


def test_predictions_rank_behind_measurements_and_are_marked() -> None:
    ranked = rank([candidate("guess", None, 50, 5), HEAD], Limits())
    assert [(each.candidate.name, each.candidate.measured) for each in ranked] == [("head", True), ("guess", False)]
    alone = reasons(rank([candidate("guess", None, 50, 5)], Limits()), Limits())
    assert alone == ["By prediction guess fits and trains fastest; accuracy is known only after a run, so measure it."]


def test_the_panel_ranks_measured_cells(plain: Results) -> None:
    panel = panel_of(recommendation, plain)
    assert panel.sentences[0].startswith("Take ")
    assert [row["rank"] for row in panel.tables[0].rows] == [1, 2, 3]
    assert "lora r64" not in {row["name"] for row in panel.tables[0].rows}
