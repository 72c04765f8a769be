"""Trials: resumed, pruned, failed and killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from tests.study.search.searched import RATES, cells, compare, ignore, made, stop_at, study_of, untimed

from thriftune.errors import InputError
from thriftune.results.search import Trial
from thriftune.results.store import Store
from thriftune.study import jobs
from thriftune.study.events import Event, SearchProgress
from thriftune.study.file.config import Study
from thriftune.study.file.plan import plan
from thriftune.study.preparation.prepare import prepare, read
from thriftune.study.run.process import Death, as_child, in_process
from thriftune.study.search import attempt
from thriftune.study.search import execute as search
from thriftune.study.search.job import NotSearched, SearchJob, TrialsDone, trial_seed
from thriftune.study.search.trials import run_trials


@pytest.fixture(scope="module")
def job(data: Path) -> SearchJob:
    """A search for head_only, six trials; from the fourth on they go by what the earlier scored."""
    over = {**RATES, "epochs": [1, 2], "schedule.type": {"choose": ["linear", "constant"]}}
    return job_of(study_of(data, over, methods=["head_only"], trials=6), data / "job")


def job_of(study: Study, out: Path) -> SearchJob:
    """The search for a study's first method that has one."""
    run = next(run for run in plan(study) if run.model)
    prepared = prepare(study, [run], read(study, [run], ignore), out / ".work", ignore)
    plain = jobs.job_of(study, prepared, run, Store(out))
    return search._search_job(study, prepared, run, plain, Store(out), "session")


def trials(job: SearchJob, folder: Path, tell: Callable[[Any], Any] = ignore, **settings: Any) -> list[Trial]:
    """The trials of a job whose database is in the folder."""
    assert job.settings is not None
    found = run_trials(replace(job, database=folder / "search.db", settings=replace(job.settings, **settings)), tell)
    assert isinstance(found, TrialsDone)
    return found.trials


@pytest.fixture(scope="module")
def straight(job: SearchJob, data: Path) -> list[dict[str, Any]]:
    """The trials of a search without a break."""
    return untimed(trials(job, data))


class TestResuming:
    def test_an_interrupted_search_is_the_same_as_any_other(
        self, job: SearchJob, tmp_path: Path, straight: list[dict[str, Any]]
    ) -> None:
        for trial in (4, 6):
            with pytest.raises(KeyboardInterrupt):
                trials(job, tmp_path, stop_at(trial))
        events: list[Event] = []
        assert untimed(trials(job, tmp_path, events.append)) == straight
        assert made(events) == [("head_only", 6)], "no finished trial is repeated"
        assert len({repr(trial["params"]) for trial in straight}) == 6

    def test_an_interrupted_compare_resumes(self, data: Path, tmp_path: Path) -> None:
        study = study_of(data, RATES, trials=2, methods=["head_only"])
        out = tmp_path / "out"
        with pytest.raises(KeyboardInterrupt):
            compare(study, out, stop_at(2))
        assert {path.name for path in out.iterdir()} == {"search.db"}
        events: list[Event] = []
        results = compare(study, out, events.append)
        assert made(events) == [("head_only", 2)]
        assert results.runs[0].status == "done"
        (out / "search.json").write_text("{")
        assert cells(compare(study, out, events.append)) == cells(results), "search.db has what search.json lost"
        assert made(events) == [("head_only", 2)]

    def test_a_killed_search_goes_on(self, job: SearchJob, tmp_path: Path, straight: list[dict[str, Any]]) -> None:
        doomed = replace(job, database=tmp_path / "search.db")
        assert in_process(killed_in_third, doomed, True, ignore, (TrialsDone,)) == (None, Death(-signal.SIGKILL))
        events: list[Event] = []
        assert untimed(trials(job, tmp_path, events.append, trials=4)) == straight[:4]
        assert made(events) == [("head_only", 3), ("head_only", 4)]

    def test_a_crash_in_a_trial_is_that_trial_s(
        self, job: SearchJob, tmp_path: Path, straight: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process dies in the second trial: another one makes the rest."""
        deaths = [Death(-9)]

        def once(child: object, job: SearchJob, model: bool, tell: Callable[[Event], None], last: object) -> Any:
            if not deaths:
                return run_trials(job, tell), Death(0)
            with pytest.raises(KeyboardInterrupt):
                run_trials(job, lambda event: (tell(event), stop_at(2)(event)))  # type: ignore[arg-type,return-value]
            return None, deaths.pop()

        monkeypatch.setattr(search, "in_process", once)
        settings = replace(job.settings, trials=3)
        found = search.searched(replace(job, database=tmp_path / "search.db", settings=settings), ignore, isolate=True)
        assert [trial.state for trial in found] == ["complete", "killed", "complete"]
        assert found[1].message == ("the trial's process was killed (exit code -9)")
        assert [trial.params for trial in found] == [trial["params"] for trial in straight[:3]]

    def test_a_process_that_never_begins_is_an_error(self, job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "in_process", lambda *_: (None, Death(1)))
        with pytest.raises(InputError, match="could not begin"):
            search.searched(job, ignore, isolate=True)

    def test_an_unexpected_failure_is_recorded_and_tried_again_in_the_next_session(
        self, job: SearchJob, tmp_path: Path, straight: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = attempt._trained

        def broken(job: Any, watch: Any, emit: Any) -> Any:
            if job.planned.seed == trial_seed(0, 1):
                raise ValueError("broken\nin detail")
            return real(job, watch, emit)

        monkeypatch.setattr(attempt, "_trained", broken)
        first = trials(job, tmp_path, trials=2)
        assert [(each.state, each.message) for each in first] == [("failed", "ValueError: broken"), ("complete", None)]
        monkeypatch.undo()
        assert trials(job, tmp_path, trials=2) == first, "not in the same session"
        assert untimed(trials(replace(job, session="next"), tmp_path, trials=2)) == straight[:2]

    def test_a_database_that_is_none_is_an_error_that_names_it(self, job: SearchJob, tmp_path: Path) -> None:
        (tmp_path / "search.db").write_text("no database, but long enough for one to be looked for" * 10)
        found = run_trials(replace(job, database=tmp_path / "search.db"), ignore)
        assert isinstance(found, NotSearched)
        assert "search.db cannot be used for the search: " in found.message
        assert "Remove the file" in found.message

    def test_a_folder_of_any_name_holds_a_database(self, job: SearchJob, tmp_path: Path) -> None:
        folder = tmp_path / "100%20 odd?&#é'"
        folder.mkdir()
        trials(job, folder, trials=1)
        assert [path.name for path in folder.iterdir()] == ["search.db"]

    def test_a_changed_study_is_another_search(self, job: SearchJob, data: Path) -> None:
        study = study_of(data, job.settings.over, methods=["head_only"])
        protocol = {"epochs": 2, "batch_size": 16, "max_tokens": 32, "device": "cpu"}
        others = [
            study_of(data, job.settings.over, methods=["head_only"], **changes)
            for changes in (
                {"protocol": protocol | {"batch_size": 8}},
                {"head": {"type": "mean"}},
                {"search": {"seed": 1}},
                {"search": {"prune": "none"}},
                {"search": {"over": RATES}},
            )
        ]
        same = [
            study,
            study_of(data, job.settings.over, methods=[{"head_only": {"learning_rate": 0.5}}], seeds=[3, 4]),
            study_of(data, job.settings.over, methods=["head_only"], trials=50, protocol=protocol | {"epochs": 7}),
        ]
        runs = [next(run for run in plan(each) if run.model) for each in (*others, *same)]
        prepared = prepare(study, runs[-1:], read(study, runs[-1:], ignore), data / "keys", ignore)
        keys = [
            search._key(each, prepared, run, each.search, "cpu")
            for each, run in zip((*others, *same), runs, strict=True)
            if each.search is not None
        ]
        assert len(set(keys)) == len(others) + 1
        assert set(keys[len(others) :]) == {job.search.key}


def killed_in_third(job: SearchJob, sender: Connection, variables: dict[str, str]) -> None:
    """A search's process that the kernel kills in its third trial."""
    tell = as_child(sender, variables)

    def report(event: SearchProgress) -> None:
        tell(event)
        if event.trial == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    run_trials(job, report)


class TestEnds:
    def test_poor_trials_are_pruned(self, data: Path, tmp_path: Path) -> None:
        over = {"learning_rate": {"choose": [0.003, 30.0]}}
        protocol = {"epochs": 4, "batch_size": 16, "max_tokens": 32, "select": "loss"}
        job = job_of(study_of(data, over, methods=["head_only"], protocol=protocol), tmp_path)
        found = trials(job, tmp_path, trials=6)
        pruned = [trial for trial in found if trial.state == "pruned"]
        assert pruned, found
        for trial in pruned:
            assert trial.number > 2
            assert trial.epochs is not None
            assert trial.epochs < 4
            assert trial.score is not None
            assert "below the median of the trials before it" in (trial.message or "")
        best = replace(job.search, trials=found).best
        assert best is not None
        assert best.params == {"learning_rate": 0.003}
        assert best.score == min(trial.score or 9e9 for trial in found if trial.state == "complete")
        (tmp_path / "search.db").unlink()
        assert {trial.state for trial in trials(job, tmp_path, trials=3, prune="none")} == {"complete"}

    def test_a_search_without_a_complete_trial_fails_its_runs(self, data: Path, tmp_path: Path) -> None:
        over = {"learning_rate": {"choose": [1e30, 1e31]}}
        results = compare(study_of(data, over, trials=1, methods=["majority", "full"]), tmp_path / "out")
        assert [trial.state for trial in cells(results)[0].trials] == ["diverged"]
        assert [run.status for run in results.runs] == ["done", "failed"]
        assert "No trial of the search was complete: the training loss became" in (results.runs[1].message or "")

    def test_seconds_end_it(self, job: SearchJob, tmp_path: Path) -> None:
        assert len(trials(job, tmp_path, seconds=1e-9)) == 1
        events: list[Event] = []
        assert len(trials(job, tmp_path, events.append, seconds=1e-9)) == 1
        assert made(events) == []

    def test_a_list_of_rates_is_searched_within_each_trial(self, data: Path, tmp_path: Path) -> None:
        methods = [{"head_only": {"learning_rate": [1e-3, 1e-2]}}]
        job = job_of(study_of(data, {"epochs": [1, 2]}, methods=methods), tmp_path)
        assert [trial.state for trial in trials(job, tmp_path, trials=1)] == ["complete"]
