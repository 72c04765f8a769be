"""--only, --without and sweeps of the batch size: which runs a study makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import vl_convert
from tests.study.small_study import small_study

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.panels.cost import batch_sweep
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.progress import expected_text
from thriftune.report.theme import figure
from thriftune.study.execute import compare
from thriftune.study.file.config import load_study, shipped_folder
from thriftune.study.file.plan import plan
from thriftune.study.file.selection import select
from thriftune.study.forecast.estimate import Question, _cells
from thriftune.study.forecast.outlook import expected_time

PUBLISHED = shipped_folder() / "published-snli.yaml"


def _names(only: list[str] = [], without: list[str] = []) -> list[str]:
    return [run.name for run in select(plan(load_study(PUBLISHED)), only, without)]


def test_runs_are_chosen_by_name_and_pattern() -> None:
    every = _names()
    assert _names(["BERT LoRA", "BERT partial"]) == ["BERT partial", "BERT LoRA"], "in the study's order"
    assert _names(without=["DeBERTa*"]) == every[:4]
    assert _names(["*LoRA"], ["DeBERTa*"]) == ["BERT LoRA", "DistilBERT LoRA"]


def test_a_cell_stands_for_its_seeds() -> None:
    runs = plan(load_study(None, ["seeds=[0, 1]"]))
    assert [run.name for run in select(runs, ["full"])] == ["full seed 0", "full seed 1"]
    assert [run.name for run in select(runs, ["full seed 1"])] == ["full seed 1"]


@pytest.mark.parametrize(
    ("only", "without", "message"),
    [
        (["BERT lora"], [], 'did you mean "BERT LoRA"'),
        ([], ["nobody"], "matches no run"),
        (["BERT LoRA"], ["BERT*"], "leave no run"),
    ],
)
def test_names_that_lead_nowhere(only: list[str], without: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _names(only, without)


def test_what_was_left_out_stays_in_the_results(tmp_path: Path) -> None:
    study, out = small_study(tmp_path, methods=["majority", "tfidf"], models=None, protocol=None), tmp_path / "out"
    first = compare(study, out, isolate=False, only=["tfidf"])
    assert [run.name for run in first.runs] == ["tfidf"]
    second = compare(study, out, isolate=False, without=["tfidf"])
    assert [(run.name, run.status) for run in second.runs] == [("majority", "done"), ("tfidf", "done")]
    assert second.runs[1] == first.runs[0]


def test_batch_sizes_are_a_sweep() -> None:
    study = load_study(None, ["protocol.batch_size=[8, 16]"])
    runs = {run.name: run for run in plan(study)}
    assert {"full batch 8", "full batch 16", "majority"} <= set(runs)
    assert "majority batch 8" not in runs
    assert runs["full batch 16"].protocol == Protocol(**{**vars(runs["full batch 8"].protocol), "batch_size": 16})
    assert type(runs["full batch 8"].protocol) is Protocol
    assert {cell.name for cell in _cells(study, Question(only=("full*",)))[0]} == {"full batch 8", "full batch 16"}


@pytest.mark.parametrize(("sizes", "message"), [("[]", "empty list"), ("[8, 8]", "twice"), ("[8, 0]", "at least 1")])
def test_sweeps_that_make_no_sense(sizes: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_study(None, [f"protocol.batch_size={sizes}"])


def test_a_measured_sweep(tmp_path: Path) -> None:
    study = small_study(
        tmp_path,
        methods=["head_only"],
        protocol={"epochs": 1, "batch_size": [4, 8], "max_tokens": 32, "device": "cpu"},
    )
    results = compare(study, tmp_path / "out", isolate=False)
    assert [(run.name, run.protocol["batch_size"]) for run in results.runs] == [
        ("head_only batch 4", 4),
        ("head_only batch 8", 8),
    ]
    panel = batch_sweep.build(results)
    assert isinstance(panel, Panel)
    assert [(row["method"], row["batch"]) for row in panel.tables[0].rows] == [("head_only", 4), ("head_only", 8)]
    assert "batches of 4 and of 8" in panel.sentences[0]
    assert [chart.name for chart in panel.charts] == ["batch-memory", "batch-seconds"]
    for chart in panel.charts:
        assert vl_convert.vegalite_to_vega(figure(chart.spec))["marks"]


def test_without_a_sweep_there_is_no_panel(tmp_path: Path) -> None:
    results = compare(
        small_study(tmp_path, methods=["majority"], models=None, protocol=None), tmp_path / "out", isolate=False
    )
    assert isinstance(batch_sweep.build(results), NotApplicable)


def test_the_published_times_are_said_before_the_start() -> None:
    study = load_study(PUBLISHED)
    expected = expected_time(study, plan(study))
    assert expected is not None
    assert sum(expected.seconds_by_model.values()) == 46570
    text = expected_text(expected)
    assert "12 h 56 min on one NVIDIA H100" in text
    assert "10 h 02 min of it is microsoft/deberta-v2-xxlarge" in text
    small = expected_time(study, select(plan(study), ["BERT*"]))
    assert small is not None
    assert "1 h 54 min" in expected_text(small)
    assert expected_time(load_study(None), plan(load_study(None))) is None
