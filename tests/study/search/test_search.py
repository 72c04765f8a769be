"""A search: equal budgets, winners and their runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.study.search.searched import RATES, cells, compare, made, study_of

from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch, StudySearch, Trial
from thriftune.results.store import Results, Store
from thriftune.study.events import Event, RunStarted, SearchFinished
from thriftune.study.file.plan import plan
from thriftune.study.file.selection import belongs
from thriftune.study.search.job import trial_seed


class TestSearch:
    def test_equal_budgets_are_equal_in_the_record(self, whole: Results) -> None:
        head, lora = cells(whole)
        assert (head.cell, lora.cell) == ("head_only", "lora searched")
        for cell in (head, lora):
            assert [trial.number for trial in cell.trials] == [1, 2, 3, 4]
            assert [trial.seed for trial in cell.trials] == [trial_seed(0, number) for number in range(1, 5)]
        for first, second in zip(head.trials, lora.trials, strict=True):
            shared = {key: second.params[key] for key in first.params}
            assert first.params == shared or first.number > 3, (
                "methods are tried at the same places where they share keys"
            )
        assert len({trial.params["learning_rate"] for trial in head.trials}) == 4
        assert all(1e-4 <= trial.params["learning_rate"] <= 0.1 for trial in head.trials)
        assert all(trial.params["epochs"] in (1, 2, 3) and trial.seconds > 0 for trial in head.trials)

    def test_winners_are_retrained_with_every_seed(self, whole: Results) -> None:
        for cell in cells(whole):
            runs = [run for run in whole.runs if run.cell == cell.cell]
            assert [run.seed for run in runs] == [0, 1]
            assert [run.status for run in runs] == ["done", "done"]
            best = cell.best
            assert best is not None
            assert best.score == max(trial.score or 0 for trial in cell.trials if trial.state == "complete")
            for run in runs:
                assert run.learning_rate == best.params["learning_rate"]
                assert run.protocol["epochs"] == best.params["epochs"]
                assert run.method.get("rank") == best.params.get("rank")
                found = run.searched
                assert found is not None
                assert found.chosen == best.params
                assert (found.trials, found.shared_by) == (4, 2)
                assert found.complete + found.pruned + found.failed == 4
                assert found.seconds == pytest.approx(sum(trial.seconds for trial in cell.trials))
                assert run.cost is not None
                assert found.train_seconds != run.cost.train_seconds
                assert RunRecord.from_json(run.to_json()) == run
        assert whole.runs[0].searched is None

    def test_the_frozen_layers_are_charged_once(self, whole: Results) -> None:
        for cell in cells(whole):
            assert [trial.prefix_seconds > 0 for trial in cell.trials] == [True, *[False] * 3]

    def test_the_same_compare_searches_and_trains_nothing(self, whole: Results, data: Path) -> None:
        events: list[Event] = []
        again = compare(study_of(data, seeds=[0, 1]), whole.store.path, events.append)
        assert made(events) == []
        assert all(event.reused for event in events if isinstance(event, SearchFinished))
        assert not [event for event in events if isinstance(event, RunStarted)]
        assert cells(again) == cells(whole)

    def test_other_budgets_on_what_is_there(self, whole: Results, data: Path) -> None:
        out = whole.store.path
        events: list[Event] = []
        fewer = compare(study_of(data, seeds=[0, 1], trials=2), out, events.append)
        assert made(events) == []
        for short, long in zip(cells(fewer), cells(whole), strict=True):
            assert short.trials == long.trials[:2]
        assert fewer.runs[1].searched is not None
        assert fewer.runs[1].searched.trials == 2
        more = compare(study_of(data, seeds=[0, 1], trials=5), out, events.append, only=["head_only"])
        assert made(events) == [("head_only", 5)]
        assert [len(cell.trials) for cell in cells(more)] == [5, 2], "those not asked for stay"
        head = more.runs[1]
        assert head.status == "done"
        assert head.searched is not None
        assert head.searched.trials == 5


def test_what_was_made_before_belongs_to_the_study(whole: Results, data: Path) -> None:
    study = study_of(data, seeds=[0, 1])
    runs = plan(study)
    records = [run for run in whole.runs if run.model]
    assert all(belongs(record, runs, study.search) for record in records)
    assert not any(belongs(record, runs) for record in records)
    other = study_of(data, RATES, seeds=[0, 1])
    assert not any(belongs(record, plan(other), other.search) for record in records)
    assert not belongs(replace(records[0], searched=None), runs, study.search)


def test_a_budget_pays_for_whole_trials() -> None:
    trials = [Trial(n, n, {}, "complete", 0.5, None, 1.0, 5, 0.0, 2.0, 1.0) for n in range(1, 6)]
    cell = CellSearch("full", "m", {}, "k", {}, "accuracy", trials)
    assert [len(cell.within(n, None)) for n in (1, 3, 9)] == [1, 3, 5]
    assert [len(cell.within(9, seconds)) for seconds in (0.1, 3.0, 3.1, 100)] == [1, 1, 2, 5]
    search_json = StudySearch(5, None, "median", 0, [cell])
    assert StudySearch.from_json(search_json.to_json()) == search_json
    assert Store(Path("nowhere")).read_search() is None
