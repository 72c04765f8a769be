"""Robustness sets in a study: scored by every run, and by finished runs with the models that they saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sklearn.metrics import accuracy_score
from tests.study.small_study import ALL_METHODS, small_study, write_pairs

from thriftune.errors import InputError
from thriftune.results.record import RunRecord
from thriftune.results.store import Results, Store
from thriftune.study import execute
from thriftune.study.events import Event, RunStarted, StudyPlanned
from thriftune.study.file.config import Study, load_study
from thriftune.study.run import extend

SETS = {"hard": "hard.csv"}


def study(folder: Path, methods: list[Any] = ALL_METHODS, **changes: Any) -> Study:
    if not (folder / "hard.csv").exists():
        write_pairs(folder / "hard.csv", 40)
    return small_study(folder, methods=methods, **changes)


def compare(study: Study, out: Path, events: list[Event] | None = None) -> Results:
    return execute.compare(study, out, None if events is None else events.append, isolate=False)


def started(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, RunStarted)]


def files(results: Results, run: RunRecord, folder: str) -> dict[str, bytes]:
    path = results.store.run(run.run_id).path / folder
    return {each.name: each.read_bytes() for each in path.rglob("*") if each.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Every method, scored on a robustness set from the start."""
    folder = tmp_path_factory.mktemp("whole")
    return compare(study(folder, robustness=SETS, data={"keep": ["who"]}), folder / "out")


def test_every_run_is_scored(whole: Results) -> None:
    texts = whole.robustness("hard")
    assert texts.columns == whole.test.columns
    assert texts.height == whole.study.robustness["hard"].rows == 40
    assert [run.name for run in whole.robustness_runs("hard")] == [run.name for run in whole.runs]
    for run in whole.runs:
        frame = whole.predictions(run, "hard")
        assert frame.columns == whole.predictions(run).columns
        assert frame["label"].to_list() == texts["label"].to_list()
        assert run.robustness["hard"].accuracy == accuracy_score(frame["label"], frame["predicted"])
        data = json.loads(whole.store.run(run.run_id).record_path.read_text())
        assert data["metrics"]["robustness"]["hard"]["accuracy"] == run.robustness["hard"].accuracy


def test_the_resolved_study_finds_the_sets(whole: Results) -> None:
    assert load_study(whole.store.study_path).robustness == {"hard": "../hard.csv"}


def test_sets_change_nothing_else_and_can_come_later(tmp_path: Path, whole: Results) -> None:
    plain = compare(study(tmp_path, data={"keep": ["who"]}), tmp_path / "out")
    assert [run.run_id for run in plain.runs] == [run.run_id for run in whole.runs]
    assert [run.test for run in plain.runs] == [run.test for run in whole.runs]
    models = {run.name: files(plain, run, "model") for run in plain.runs}

    events: list[Event] = []
    later = compare(study(tmp_path, data={"keep": ["who"]}, robustness=SETS), tmp_path / "out", events)
    assert next(e for e in events if isinstance(e, StudyPlanned)).reused == []
    assert started(events) == [run.name for run in plain.runs]
    for before, run, direct in zip(plain.runs, later.runs, whole.runs, strict=True):
        assert run.robustness == direct.robustness, run.name
        assert files(later, run, "predictions") == files(whole, direct, "predictions"), run.name
        assert files(later, run, "model") == models[run.name]
        if run.model is not None:
            assert run.cost == before.cost, "nothing is trained again"
    events.clear()
    compare(study(tmp_path, data={"keep": ["who"]}, robustness=SETS), tmp_path / "out", events)
    assert started(events) == []


def test_a_linear_head_is_restored(tmp_path: Path) -> None:
    methods = [{"lora": {"learning_rate": 0.01}}, {"top_layers": {"layers": 1, "learning_rate": 0.003}}]
    changes: dict[str, Any] = {"methods": methods, "head": {"type": "linear"}}
    first = compare(study(tmp_path, **changes), tmp_path / "out")
    later = compare(study(tmp_path, **changes, robustness={"same": "pairs.csv"}), tmp_path / "out")
    for before, run in zip(first.runs, later.runs, strict=True):
        assert run.cost == before.cost
        test = later.predictions(run)
        again = later.predictions(run, "same")
        again = again.filter(again["example"].is_in(test["example"].to_list()))
        columns = [f"p_{label}" for label in later.labels]
        np.testing.assert_allclose(again.select(columns).to_numpy(), test.select(columns).to_numpy(), atol=1e-5)


class TestChangedSets:
    METHODS: ClassVar[list[Any]] = ["tfidf", {"lora": {"learning_rate": 0.01}}]

    def run(self, folder: Path, events: list[Event] | None = None, **changes: Any) -> Results:
        changes = {"robustness": SETS} | changes
        return compare(study(folder, self.METHODS, **changes), folder / "out", events)

    def test_a_changed_set_is_scored_again_and_a_removed_one_goes(self, tmp_path: Path) -> None:
        first = self.run(tmp_path)
        write_pairs(tmp_path / "hard.csv", 30)
        second = self.run(tmp_path)
        assert second.predictions(second.runs[1], "hard").height == second.study.robustness["hard"].rows == 30
        assert [run.run_id for run in second.runs] == [run.run_id for run in first.runs]
        assert second.runs[1].cost == first.runs[1].cost
        third = self.run(tmp_path, robustness={"other": "hard.csv"})
        assert [path.name for path in (tmp_path / "out" / "robustness").iterdir()] == ["other.parquet"]
        assert set(third.study.robustness) == {"other"}
        assert len(third.robustness_runs("other")) == 2

    def test_a_model_that_is_not_the_runs_own_is_trained_again(self, tmp_path: Path) -> None:
        from safetensors.numpy import load_file, save_file

        first = self.run(tmp_path)
        path = first.store.run(first.runs[1].run_id).model_path / "adapter_model.safetensors"
        good = path.read_bytes()
        save_file({name: value + 1 for name, value in load_file(path).items()}, path)
        write_pairs(tmp_path / "hard.csv", 30)
        second = self.run(tmp_path)
        assert path.read_bytes() == good
        assert second.robustness_runs("hard") == second.runs

    def test_a_failure_keeps_the_run_and_is_tried_again(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        first = self.run(tmp_path, robustness={})

        def broken(*arguments: Any) -> Any:
            raise ValueError("out of ideas")

        monkeypatch.setattr(extend, "_predicts_as_before", broken)
        for _ in range(2):
            second = self.run(tmp_path)
            run = second.runs[1]
            assert (run.status, run.test, run.robustness) == ("done", first.runs[1].test, {})
            (note,) = run.notes
            assert "Not scored on all robustness sets: ValueError: out of ideas" in note
            assert second.robustness_runs("hard") == second.runs[:1]
            assert Store(tmp_path / "out").run(run.run_id).read_record() == run
        monkeypatch.undo()
        third = self.run(tmp_path)
        assert third.runs[1].notes == []
        assert third.robustness_runs("hard") == third.runs
        assert not third.store.run(run.run_id).error_path.exists()


def test_bad_sets_leave_nothing(tmp_path: Path) -> None:
    write_pairs(tmp_path / "other.csv", labels=["yes", "no", "maybe"])
    bad = {"other": "other.csv", "none": "none.csv"}
    with pytest.raises(InputError, match=r'robustness\.other: .*"maybe".*\nrobustness\.none: none\.csv is not found'):
        compare(study(tmp_path, ["majority"], models=None, protocol=None, robustness=bad), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"test": "a.csv"}, "robustness.test: is the name of a split"),
        ({"Validation": "a.csv"}, "robustness.Validation: is the name of a split"),
        ({"../x": "a.csv"}, 'robustness.../x: "../x" is given; allowed: up to 64 letters'),
        ({"a b": "a.csv"}, "robustness.a b:"),
        ({"": "a.csv"}, 'robustness.: "" is given'),
        ({"a": "a.csv", "A": "b.csv"}, "robustness.A: differs from a in capitals alone"),
        ({"a": 3}, 'robustness: {"a": 3} is given; allowed: a mapping of names to texts'),
        (["a.csv"], "robustness:"),
    ],
)
def test_names_and_sources(tmp_path: Path, sets: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        study(tmp_path, ["majority"], models=None, protocol=None, robustness=sets, margin=101)
    assert message in str(caught.value)
    assert "margin:" in str(caught.value)
