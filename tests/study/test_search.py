"""A study's search: what it may vary, equal budgets, resuming, pruning, and the winners' runs."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from tests.study.small_study import small_study

from thriftune.errors import InputError
from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch, StudySearch, Trial
from thriftune.results.store import Results, Store
from thriftune.study import execute, search
from thriftune.study import trials as trials_module
from thriftune.study.config import Study, load_study, study_from_dict, study_to_yaml
from thriftune.study.events import Event, RunStarted, SearchFinished, SearchProgress
from thriftune.study.plan import plan
from thriftune.study.prepare import prepare, read
from thriftune.study.process import as_child, in_process
from thriftune.study.search_job import NotSearched, SearchJob, TrialsDone, trial_seed
from thriftune.study.search_settings import written
from thriftune.study.search_space import searched_run, space_of
from thriftune.study.selection import belongs
from thriftune.study.trials import run_trials
from thriftune.study.yaml_text import parse_yaml

RATES = {"learning_rate": [1e-4, 0.1, "log"]}
OVER: dict[str, Any] = {**RATES, "epochs": [1, 3], "rank": [2, 8]}
METHODS: list[Any] = ["majority", "head_only", {"lora": {"layers": "top 1"}}]


def study_of(folder: Path, over: dict[str, Any] | None = None, trials: int = 4, **changes: Any) -> Study:
    settings = {"trials": trials, "over": over or OVER} | changes.pop("search", {})
    return small_study(folder, **{"methods": METHODS, "search": settings} | changes)


def compare(study: Study, out: Path, listener: Callable[[Event], None] | None = None, **names: Any) -> Results:
    return execute.compare(study, out, listener, isolate=False, **names)


def cells(results: Results) -> list[CellSearch]:
    assert results.search is not None
    return results.search.cells


def untimed(trials: list[Trial]) -> list[dict[str, Any]]:
    return [{key: value for key, value in asdict(trial).items() if "seconds" not in key} for trial in trials]


def made(events: list[Event]) -> list[tuple[str, int]]:
    """Which trials were begun."""
    return list(dict.fromkeys((e.name, e.trial) for e in events if isinstance(e, SearchProgress)))


def stop_at(trial: int) -> Callable[[Event], None]:
    def listener(event: Event) -> None:
        if isinstance(event, SearchProgress) and event.trial == trial:
            raise KeyboardInterrupt

    return listener


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Fewer trials before the sampler and the pruner begin; and no walk through all of pytest's objects per trial."""
    before = trials_module.STARTUP_TRIALS, trials_module.UNPRUNED_TRIALS
    trials_module.STARTUP_TRIALS, trials_module.UNPRUNED_TRIALS = 3, 2
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    trials_module.STARTUP_TRIALS, trials_module.UNPRUNED_TRIALS = before


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def whole(data: Path) -> Results:
    """Two methods, four trials each, two seeds."""
    return compare(study_of(data, seeds=[0, 1]), data / "whole")


def problems(data: Path, over: dict[str, Any], **changes: Any) -> str:
    with pytest.raises(InputError) as caught:
        study_of(data, over, **changes)
    return str(caught.value)


class TestStudyFile:
    def test_a_search_is_read_and_written(self, data: Path) -> None:
        over = {**OVER, "optimizer": {"weight_decay": [0, 0.1]}, "lora.alpha": {"choose": [8, 16]}}
        study = study_of(data, over)
        assert study_from_dict(parse_yaml(study_to_yaml(study), "it"), data) == study
        head, lora = (run for run in plan(study) if run.model)
        assert head.cell == "head_only"
        assert lora.cell == "lora searched", "its rank is not known before"
        shared = {"learning_rate": [1e-4, 0.1, "log"], "epochs": [1, 3], "optimizer.weight_decay": [0, 0.1]}
        assert written(space_of(head.method, study.search)) == shared
        assert written(space_of(lora.method, study.search)) == {
            **shared,
            "rank": [2, 8],
            "alpha": {"choose": [8, 16]},
        }
        changed = searched_run(lora, {"optimizer.weight_decay": 0.05, "rank": 3, "targets": ["query", "key"]})
        assert changed.protocol.optimizer.weight_decay == 0.05
        assert changed.method.flat()["rank"] == 3
        assert changed.method.flat()["targets"] == ["query", "key"]

    def test_a_method_s_own_range_comes_before_the_common_one(self, data: Path) -> None:
        study = study_of(data, {"lora.learning_rate": [0.1, 0.2], **RATES})
        spaces = [written(space_of(run.method, study.search)) for run in plan(study) if run.model]
        assert spaces == [RATES, {"learning_rate": [0.1, 0.2]}]

    def test_a_search_can_be_set_from_outside(self, data: Path) -> None:
        path = data / "study.yaml"
        path.write_text(study_to_yaml(study_of(data)), encoding="utf-8")
        sets = ["search.trials=4", "search.over.optimizer.weight_decay=[0, 0.1]", "search.over.rank={choose: [2, 4]}"]
        found = load_study(path, sets).search
        assert found is not None
        assert found.trials == 4
        assert written(found.dimensions) == {
            **RATES,
            "epochs": [1, 3],
            "rank": {"choose": [2, 4]},
            "optimizer.weight_decay": [0, 0.1],
        }

    def test_all_problems_at_once(self, data: Path) -> None:
        text = problems(
            data,
            {
                "epochs": [4, 8, 16],
                "batch_size": [8, 2],
                "dropout": [0, 0.5, "log"],
                "alpha": 3,
                "rank": {"choose": [4]},
                "layers": {"choose": ["all", "all"]},
            },
            search={"prune": "mean"},
        )
        assert "7 problems" in text
        for part in (
            'search.prune: "mean" is given; allowed: median or none',
            "over.epochs: [4, 8, 16] is given; allowed: [low, high], [low, high, log], or {choose: [a, b]}; for these "
            "values alone write {choose: [4, 8, 16]}",
            "over.batch_size: [8, 2] is given; the first number of a range must be below the second",
            'over.dropout: [0, 0.5, "log"] is given; a range on a log scale must begin above 0',
            "over.alpha: 3 is given; allowed",
            "a choice needs two values or more",
            "it names a value twice",
        ):
            assert part in text

    @pytest.mark.parametrize(
        ("over", "message"),
        [
            ({"learning_rat": [1, 2]}, 'over.learning_rat: unknown key; did you mean "learning_rate"?'),
            ({"lora.ranks": [1, 2]}, 'over.lora.ranks: lora has no key ranks; did you mean "rank"?'),
            ({"bitfit.learning_rate": [1, 2]}, "has no effect; the study has no method bitfit"),
            ({"top_layers": {"layers": [1, 2]}}, "has no effect; the study has no method top_layers"),
            ({"optimizer": [0, 1]}, "over.optimizer: is a mapping; name one of its keys: optimizer.weight_decay"),
            ({"max_tokens": [8, 32]}, "over.max_tokens: cannot be searched: texts are cut once"),
            ({"protocol.epochs": [1, 2], "epochs": [1, 3]}, "over.epochs: is the same key as protocol.epochs"),
            ({"epochs": [0, 2]}, "over.epochs: 0 is given, it must be at least 1"),
            ({"rank": [1.5, 4]}, "over.rank: 1.5 is given; allowed: a whole number"),
            ({"layers": [1, 3]}, "over.layers: is a range of numbers, but layers of lora is text: use {choose:"),
            ({"schedule.type": {"choose": ["linear", "cosin"]}}, 'did you mean "cosine"?'),
            ({"early_stopping.patience": [1, 3]}, "is null; give early_stopping"),
            ({"learning_rate": {"pick": [1, 2]}}, "over.learning_rate.pick: unknown key"),
            ({"layers": {"choose": [1, 2]}}, "allowed: text (layers of lora)"),
        ],
    )
    def test_refusals(self, data: Path, over: dict[str, Any], message: str) -> None:
        assert message in problems(data, over)

    def test_what_has_no_effect(self, data: Path) -> None:
        text = problems(data, RATES, methods=["tfidf"], models=None, protocol=None)
        assert "search: has no effect; no method of the study has settings to search" in text
        none = problems(data, {"rank": [1, 2]}, methods=["full"])
        assert "search.over.rank: has no effect; no method of the study that can be searched has it (lora" in none
        twice = problems(data, OVER, methods=[{"lora": {"rank": 4}}, {"lora": {"rank": 8}}])
        assert "two runs would be called" in twice
        protocol = {"batch_size": [8, 16], "max_tokens": 32}
        assert "over.batch_size: has no effect beside a list" in problems(
            data, {"batch_size": [4, 8]}, protocol=protocol
        )

    def test_selecting_by_loss_has_an_effect_on_the_last_weights_too(self, data: Path) -> None:
        study_of(data, protocol={"keep": "last", "select": "loss", "max_tokens": 32})

    def test_a_space_that_the_model_does_not_take_is_refused_before_training(self, data: Path, tmp_path: Path) -> None:
        results = compare(study_of(data, {"rank": [2, 64]}, methods=["majority", "lora"]), tmp_path / "out")
        assert [run.status for run in results.runs] == ["done", "failed"]
        assert "search.over: lora searched with rank 64: lora: rank is 64, but" in (results.runs[1].message or "")
        assert results.search is None

    def test_validation_is_needed(self, data: Path, tmp_path: Path) -> None:
        study = study_of(data, protocol={"keep": "last", "max_tokens": 32}, data={"split": {"test": 0.3}})
        with pytest.raises(InputError, match="validation"):
            compare(study, tmp_path / "out")


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


@pytest.fixture(scope="module")
def job(data: Path) -> SearchJob:
    """A search for head_only, six trials; from the fourth on they go by what the earlier scored."""
    over = {**RATES, "epochs": [1, 2], "schedule.type": {"choose": ["linear", "constant"]}}
    return job_of(study_of(data, over, methods=["head_only"], trials=6), data / "job")


def job_of(study: Study, out: Path) -> SearchJob:
    """The search for a study's first method that has one."""
    run = next(run for run in plan(study) if run.model)
    prepared = prepare(study, [run], read(study, [run], ignore), out / ".work", ignore)
    plain = execute._job(study, prepared, run, Store(out))
    return search._search_job(study, prepared, run, plain, Store(out), "session")


def ignore(event: object) -> None:
    pass


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
        assert in_process(killed_in_third, doomed, True, ignore, (TrialsDone,)) == (None, -signal.SIGKILL)
        events: list[Event] = []
        assert untimed(trials(job, tmp_path, events.append, trials=4)) == straight[:4]
        assert made(events) == [("head_only", 3), ("head_only", 4)]

    def test_a_crash_in_a_trial_is_that_trial_s(
        self, job: SearchJob, tmp_path: Path, straight: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The process dies in the second trial: another one makes the rest."""
        codes = [-9]

        def once(job: SearchJob, tell: Callable[[Event], None]) -> Any:
            if not codes:
                return run_trials(job, tell), 0
            with pytest.raises(KeyboardInterrupt):
                run_trials(job, lambda event: (tell(event), stop_at(2)(event)))  # type: ignore[arg-type,return-value]
            return None, codes.pop()

        monkeypatch.setattr(search, "_process", once)
        settings = replace(job.settings, trials=3)
        found = search._searched(replace(job, database=tmp_path / "search.db", settings=settings), ignore, isolate=True)
        assert [trial.state for trial in found] == ["complete", "out_of_memory", "complete"]
        assert found[1].message == (
            "the trial's process was killed, most likely because the machine ran out of memory (exit code -9)"
        )
        assert [trial.params for trial in found] == [trial["params"] for trial in straight[:3]]

    def test_a_process_that_never_begins_is_an_error(self, job: SearchJob, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(search, "_process", lambda job, tell: (None, 1))
        with pytest.raises(InputError, match="could not begin"):
            search._searched(job, ignore, isolate=True)

    def test_an_unexpected_failure_is_recorded_and_tried_again_in_the_next_session(
        self, job: SearchJob, tmp_path: Path, straight: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = trials_module._trained

        def broken(job: Any, watch: Any, emit: Any) -> Any:
            if job.planned.seed == trial_seed(0, 1):
                raise ValueError("broken\nin detail")
            return real(job, watch, emit)

        monkeypatch.setattr(trials_module, "_trained", broken)
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
