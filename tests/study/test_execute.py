"""`compare` from a csv to what it leaves on disk: contract, resuming, failures, interrupts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss
from tests.study import dying
from tests.study.small_study import ALL_METHODS, small_study, write_pairs
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import LAYERS, model_folder

from thriftune.errors import InputError
from thriftune.models.ops.kernels.build import build
from thriftune.report.render import write_report
from thriftune.results.record import RunRecord
from thriftune.results.store import Results, Store
from thriftune.study import execute
from thriftune.study.events import TRAINED, Event, RunFinished, RunProgress, RunStarted, Stage, StudyPlanned
from thriftune.study.file.config import Study, load_study
from thriftune.study.run import process, transformer_run


def compare(study: Study, out: Path, listener: Callable[[Event], None] | None = None) -> Results:
    return execute.compare(study, out, listener, isolate=False)


def started(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, RunStarted)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Every method on one tiny model."""
    folder = tmp_path_factory.mktemp("whole")
    study = small_study(folder, methods=ALL_METHODS, data={"keep": ["who"]})
    return compare(study, folder / "out")


def test_rows_that_cannot_be_used_are_said_before_the_first_run(tmp_path: Path) -> None:
    with write_pairs(tmp_path / "pairs.csv").open("a", encoding="utf-8") as file:
        file.write("1,a,b,\n1,a,b,\n1, ,b,neutral\n")
    events: list[Event] = []
    compare(small_study(tmp_path, methods=["majority"], models=None, protocol=None), tmp_path / "out", events.append)
    (planned,) = (event for event in events if isinstance(event, StudyPlanned))
    assert planned.warnings[0].startswith("3 rows of the source could not be used (no label: 2 and blank")


class TestContract:
    def test_every_run_is_done(self, whole: Results) -> None:
        assert [(run.name, run.status) for run in whole.runs] == [
            (name, "done")
            for name in (
                "majority",
                "tfidf",
                "head_only",
                "top_layers 1",
                "lora r8 all",
                "lora r8 top 1",
                "full",
                "bitfit",
                "peft ia3",
            )
        ]

    def test_what_is_on_disk(self, whole: Results) -> None:
        out = whole.store.path
        assert {path.name for path in out.iterdir()} == {
            "study.yaml",
            "results.json",
            "train.parquet",
            "test.parquet",
            "runs",
        }
        assert set((out / "runs").iterdir()) == {whole.store.run(run.run_id).path for run in whole.runs}
        for run in whole.runs:
            names = {path.name for path in whole.store.run(run.run_id).path.iterdir()}
            tuned = {"history.jsonl", "dynamics.parquet", "embeddings.npy", "embeddings_rows.npy"}
            expected = {"run.json", "log.txt", "predictions", "model"} | (tuned if run.model else set())
            assert names == expected, run.name
            model = whole.store.run(run.run_id).model_path
            assert sum(p.stat().st_size for p in model.iterdir()) >= (run.cost.stored_bytes if run.cost else 0) > 0
            assert not list(model.glob("*.bin")) + list(model.glob("*.pkl"))

    def test_run_json_is_in_results_json(self, whole: Results) -> None:
        data = json.loads((whole.store.path / "results.json").read_text())
        assert data["schema_version"] == 1
        for entry in data["runs"]:
            assert json.loads((whole.store.run(entry["run_id"]).record_path).read_text()) == entry

    def test_the_resolved_study_loads(self, whole: Results) -> None:
        loaded = load_study(whole.store.study_path)
        assert [method.NAME for method in loaded.methods][:3] == ["majority", "tfidf", "head_only"]
        assert loaded.data.source == "../pairs.csv"

    def test_texts(self, whole: Results) -> None:
        assert whole.test.columns == ["example", "premise", "hypothesis", "label", "who"]
        assert set(whole.test["label"]) <= set(LABELS)

    def test_scores_agree_with_scikit_learn_on_the_predictions(self, whole: Results) -> None:
        for run in whole.runs:
            for split, scores in (("test", run.test), ("validation", run.validation)):
                frame = whole.predictions(run, split)
                assert frame.columns == ["example", "label", "predicted", *(f"p_{label}" for label in whole.labels)]
                assert scores is not None
                truth, predicted = frame["label"].to_list(), frame["predicted"].to_list()
                shares = frame.select(f"p_{label}" for label in sorted(whole.labels)).to_numpy()
                np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
                assert scores.accuracy == accuracy_score(truth, predicted)
                assert scores.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0))
                assert scores.confusion == confusion_matrix(truth, predicted, labels=whole.labels).tolist()
                assert scores.loss == pytest.approx(log_loss(truth, shares, labels=sorted(whole.labels)), rel=1e-6)
            test = whole.predictions(run)
            assert test["example"].to_list() == whole.test["example"].to_list()
            assert test["label"].to_list() == whole.test["label"].to_list()

    def test_embeddings(self, whole: Results) -> None:
        assert whole.embeddings(whole.runs[0]) is None
        for run in (each for each in whole.runs if each.model is not None):
            found = whole.embeddings(run)
            assert found is not None
            assert found.rows.tolist() == list(range(len(whole.test)))
            assert found.vectors.shape == (len(whole.test), 32)
            assert found.vectors.dtype == np.float16

    def test_costs(self, whole: Results) -> None:
        by_name = {run.name: run for run in whole.runs}
        for run in whole.runs:
            cost = run.cost
            assert cost is not None
            several = ("processes", "all_memory_bytes", "all_process_bytes")  # null for one process
            for key, value in ((key, value) for key, value in cost.__dict__.items() if key not in several):
                assert value is not None or key in cost.reasons, f"{run.name}: {key} is unknown without a reason"
            assert run.environment["torch"]
            if run.model is None:
                assert cost.memory is None
                continue
            assert cost.memory is not None
            assert sum(cost.memory.__dict__.values()) == cost.peak_memory_bytes
            train = whole.study.profile.rows["train"] * 2
            assert cost.samples_per_second == pytest.approx(train / (cost.train_seconds + cost.prefix_seconds))
            assert cost.delta_bytes == 4 * cost.trained_parameters
            assert cost.stored_bytes >= cost.delta_bytes
        head = by_name["head_only"].cost
        assert head is not None
        assert head.trained_parameters == head.head_parameters

    def test_history(self, whole: Results) -> None:
        for run in (each for each in whole.runs if each.model is not None):
            steps, epochs = whole.history(run)
            assert [point.epoch for point in epochs] == [1, 2]
            assert steps[-1].step == epochs[-1].step
            assert run.validation is not None
            assert run.best_epoch in (1, 2)
            kept = epochs[run.best_epoch - 1]
            assert kept.validation_accuracy == run.validation.accuracy
            assert kept.validation_loss == pytest.approx(run.validation.loss, rel=1e-5)
        assert whole.history(whole.runs[0]) == ([], [])

    def test_training_dynamics(self, whole: Results) -> None:
        train = whole.train
        assert train is not None
        assert train.columns == ["example", "premise", "hypothesis", "label"]
        for run in whole.runs:
            frame = whole.dynamics(run)
            if run.model is None:
                assert frame is None
                continue
            assert frame is not None
            assert frame["epoch"].unique().sort().to_list() == [1, 2]
            for point in whole.history(run)[1]:
                epoch = frame.filter(pl.col("epoch") == point.epoch)
                assert epoch["example"].to_list() == train["example"].to_list()
                assert -epoch["p_true"].log().mean() == pytest.approx(point.train_loss, rel=1e-5)

    def test_the_report_is_written(self, whole: Results) -> None:
        page = write_report(whole.store.path).read_text(encoding="utf-8")
        assert all(run.name in page for run in whole.runs)


class TestResuming:
    def test_complete_runs_are_taken_and_others_run_again_bitwise_equal(self, tmp_path: Path) -> None:
        study = small_study(tmp_path, methods=["majority", *ALL_METHODS[3:5], "full"])
        out = tmp_path / "out"
        first = compare(study, out)
        before = {run.name: contents(first.store.run(run.run_id).path) for run in first.runs}
        lost, failed, partial = (first.runs[i].run_id for i in (1, 2, 3))
        first.store.run(lost).record_path.unlink()
        record = first.store.run(failed).read_record().__dict__ | {"status": "failed", "test": None}
        first.store.run(failed).write_record(RunRecord(**record))
        for path in first.store.run(partial).path.rglob("*"):
            if path.is_file() and path.suffix != ".jsonl":
                path.unlink()

        events: list[Event] = []
        again = compare(study, out, events.append)
        assert started(events) == [run.name for run in first.runs[1:]]
        assert [e.reused for e in events if isinstance(e, RunFinished)] == [True, False, False, False]
        assert next(e for e in events if isinstance(e, StudyPlanned)).reused == ["majority"]
        assert all(run.status == "done" for run in again.runs)
        for run in again.runs:
            after = contents(first.store.run(run.run_id).path)
            assert set(after) == set(before[run.name])
            for name in set(after) - {"run.json", "history.jsonl", "log.txt"}:
                assert after[name] == before[run.name][name], f"{run.name}: {name}"
        for old, new in zip(first.runs, again.runs, strict=True):
            assert old.test == new.test
            assert old.validation == new.validation
            assert old.cost is not None
            assert new.cost is not None
            assert old.cost.peak_memory_bytes == new.cost.peak_memory_bytes

        events.clear()
        compare(study, out, events.append)
        assert started(events) == []

    def test_new_names_reach_reused_runs(self, tmp_path: Path) -> None:
        out = tmp_path / "out"
        compare(small_study(tmp_path, models=None, protocol=None, methods=["majority"]), out)
        runs = [{"name": "the floor", "method": "majority"}]
        events: list[Event] = []
        again = compare(small_study(tmp_path, models=None, protocol=None, methods=None, runs=runs), out, events.append)
        assert started(events) == []
        assert [run.name for run in again.runs] == ["the floor"]
        assert again.store.run(again.runs[0].run_id).read_record() == again.runs[0]

    def test_results_are_there_while_the_study_runs(self, tmp_path: Path) -> None:
        seen: list[list[str]] = []

        def look(event: Event) -> None:
            if isinstance(event, RunFinished):
                seen.append([run.status for run in Store(tmp_path / "out").load().runs])

        compare(
            small_study(tmp_path, models=None, protocol=None, methods=["majority", "tfidf"]), tmp_path / "out", look
        )
        assert seen == [["done", "interrupted"], ["done", "done"]]


class TestAnotherStudyInTheFolder:
    def baseline(self, folder: Path, **changes: Any) -> Study:
        return small_study(folder, **{"models": None, "protocol": None, "methods": ["majority"], **changes})

    def test_other_methods_on_the_same_data_reuse_what_is_there(self, tmp_path: Path) -> None:
        compare(self.baseline(tmp_path), tmp_path / "out")
        events: list[Event] = []
        results = compare(self.baseline(tmp_path, methods=["majority", "tfidf"]), tmp_path / "out", events.append)
        assert started(events) == ["tfidf"]
        assert len(results.runs) == 2

    def test_another_name_is_refused(self, tmp_path: Path) -> None:
        compare(self.baseline(tmp_path), tmp_path / "out")
        before = contents(tmp_path / "out")
        with pytest.raises(InputError, match=r'"small"; this one is "other".*Give another --out'):
            compare(self.baseline(tmp_path, name="other"), tmp_path / "out")
        assert contents(tmp_path / "out") == before

    def test_other_data_is_refused(self, tmp_path: Path) -> None:
        compare(self.baseline(tmp_path), tmp_path / "out")
        before = contents(tmp_path / "out")
        with pytest.raises(InputError, match=r"on other data or other splits \(75 train, 30 validation, 45 test\)"):
            compare(self.baseline(tmp_path, data={"limit": {"train": 50}}), tmp_path / "out")
        assert contents(tmp_path / "out") == before

    def test_a_folder_without_finished_runs_is_free(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("thriftune.study.run.worker.run_baseline", _raise(ValueError("broken")))
        compare(self.baseline(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        assert compare(self.baseline(tmp_path, name="other"), tmp_path / "out").study.name == "other"

    def test_two_at_once_are_refused(self, tmp_path: Path) -> None:
        def meddle(event: Event) -> None:
            if isinstance(event, RunStarted):
                with pytest.raises(InputError, match="Another thriftune compare is writing"):
                    compare(self.baseline(tmp_path), tmp_path / "out")

        assert compare(self.baseline(tmp_path), tmp_path / "out", meddle).runs[0].status == "done"
        assert not (tmp_path / "out" / ".lock").exists()


def _raise(error: BaseException) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise error

    return function


class TestFailures:
    def test_a_run_that_fails_has_a_record_and_the_others_are_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("thriftune.study.run.worker.run_baseline", _raise(ValueError("broken\nin detail")))
        study = small_study(tmp_path, methods=["majority", "full"])
        results = compare(study, tmp_path / "out")
        bad, good = results.runs
        assert (bad.status, good.status) == ("failed", "done")
        folder = results.store.run(bad.run_id).path
        assert folder.name == f"majority-seed0-{bad.run_id[:8]}"
        assert bad.message == f"ValueError: broken (traceback in runs/{folder.name}/error.txt)"
        assert {path.name for path in folder.iterdir()} == {"run.json", "error.txt", "log.txt"}
        assert "Traceback" in (folder / "error.txt").read_text()
        assert "broken" in write_report(tmp_path / "out").read_text(encoding="utf-8")
        monkeypatch.undo()
        events: list[Event] = []
        assert compare(study, tmp_path / "out", events.append).runs[0].status == "done"
        assert started(events) == ["majority"]

    @pytest.mark.parametrize("error", [MemoryError(), RuntimeError("[enforce fail] not able to allocate memory")])
    def test_memory_that_runs_out(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        monkeypatch.setattr("thriftune.study.run.worker.run_baseline", _raise(error))
        results = compare(small_study(tmp_path, models=None, protocol=None, methods=["majority"]), tmp_path / "out")
        assert results.runs[0].status == "out_of_memory"

    def test_a_gpu_that_is_too_small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        monkeypatch.setattr(
            "thriftune.engine.train.fit", _raise(torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB"))
        )
        results = compare(small_study(tmp_path), tmp_path / "out")
        assert results.runs[0].status == "out_of_memory"
        assert results.runs[0].message == "CUDA out of memory. Tried 2 GiB"

    def test_divergence_does_not_break_the_report(self, tmp_path: Path) -> None:
        methods = ["majority", {"full": {"learning_rate": 1e6}}, {"top_layers": {"layers": 1, "learning_rate": 1e30}}]
        results = compare(small_study(tmp_path, methods=methods), tmp_path / "out")
        assert results.runs[0].status == "done"
        for run in results.runs[1:]:
            assert run.status in ("diverged", "done"), run.message
            if run.status == "diverged":
                assert "learning rate" in (run.message or "")
        assert any(run.status == "diverged" for run in results.runs)
        assert write_report(tmp_path / "out").exists()

    def test_a_validation_loss_that_is_no_number_is_null(self, whole: Results) -> None:
        _, epochs = whole.history(whole.runs[-1])
        points, notes = transformer_run.finite_epochs(
            [epochs[0], type(epochs[1])(**epochs[1].__dict__ | {"validation_loss": math.nan})]
        )
        assert points[0] == epochs[0]
        assert points[1].validation_loss is None
        assert notes == ["The validation loss of epoch 2 was nan."]

    def test_an_interrupt_keeps_what_is_done_and_resumes(self, tmp_path: Path) -> None:
        study = small_study(tmp_path, methods=["majority", "full"])
        out = tmp_path / "out"

        def interrupt(event: Event) -> None:
            if isinstance(event, RunProgress) and event.name == "full" and event.stage == "training":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare(study, out, interrupt)
        results = Store(out).load()
        assert [run.status for run in results.runs] == ["done", "interrupted"]
        assert {path.name for path in out.iterdir()} == {
            "study.yaml",
            "results.json",
            "train.parquet",
            "test.parquet",
            "runs",
        }
        assert list((out / "runs").iterdir()) == [results.store.run(results.runs[0].run_id).path]
        assert write_report(out).exists()
        events: list[Event] = []
        assert [run.status for run in compare(study, out, events.append).runs] == ["done", "done"]
        assert started(events) == ["full"]

    def test_an_interrupt_while_reading_leaves_nothing(self, tmp_path: Path) -> None:
        def interrupt(event: Event) -> None:
            if event == Stage("profiling data"):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            compare(small_study(tmp_path), tmp_path / "a" / "b", interrupt)
        assert [path.name for path in tmp_path.iterdir()] == ["pairs.csv"]


class TestWhatStudiesAsk:
    def test_a_search_over_learning_rates_is_recorded_and_charged(self, tmp_path: Path) -> None:
        rates = [1e-6, 0.003, 1e30]
        methods = [{"full": {"learning_rate": rate}} for rate in (rates, *rates[:2])]
        protocol = {"epochs": 2, "max_tokens": 32, "device": "cpu", "select": "loss"}
        searched, *alone = compare(small_study(tmp_path, methods=methods, protocol=protocol), tmp_path / "out").runs
        assert [point.learning_rate for point in searched.search] == rates[:2]
        assert any("1e+30 diverged" in note for note in searched.notes)
        best = min(searched.search, key=lambda point: point.validation_loss)
        assert searched.learning_rate == best.learning_rate
        assert searched.test in [run.test for run in alone if run.learning_rate == best.learning_rate]
        assert searched.cost is not None
        assert searched.cost.train_seconds >= sum(point.train_seconds for point in searched.search) > 0
        assert searched.cost.search_seconds is not None
        assert searched.cost.train_seconds > searched.cost.search_seconds > 0
        assert all(run.cost is not None and run.cost.search_seconds == 0 for run in alone if run.status == "done")
        assert {p.name for p in Store(tmp_path / "out").run(searched.run_id).path.iterdir()} == {
            "run.json",
            "log.txt",
            "history.jsonl",
            "dynamics.parquet",
            "embeddings.npy",
            "embeddings_rows.npy",
            "predictions",
            "model",
        }

    def test_seeds_text_and_linear_head(self, tmp_path: Path) -> None:
        methods = [
            {"tfidf": {"text": ["hypothesis"]}},
            {"tfidf": {"text": ["premise"]}},
            {"head_only": {"text": ["hypothesis"]}},
            {"lora": {"layers": "top 1"}},
        ]
        study = small_study(tmp_path, methods=methods, seeds=[1, 2], head={"type": "linear", "dropout": 0.5})
        results = compare(study, tmp_path / "out")
        assert [run.status for run in results.runs] == ["done"] * 6
        hypothesis, premise = results.runs[:2]
        assert hypothesis.test is not None
        assert premise.test is not None
        assert hypothesis.test.accuracy > 0.7 > premise.test.accuracy, "the hypothesis alone gives the label away"
        heads = [run for run in results.runs if run.method["name"] == "head_only"]
        assert [run.seed for run in heads] == [1, 2]
        assert heads[0].test != heads[1].test
        assert len({run.cell for run in heads}) == 1
        for run in heads:
            assert (results.store.run(run.run_id).model_path / "head.safetensors").exists()

    @pytest.mark.parametrize(
        ("labels", "names"), [((1, 0), ["0", "1"]), ((10, 9, 2, 1, 0), ["0", "1", "2", "9", "10"])], ids=["two", "five"]
    )
    def test_one_text_column_and_integer_labels(
        self, tmp_path: Path, labels: tuple[int, ...], names: list[str]
    ) -> None:
        _, texts, _ = pairs(120)
        lines = [f"{text},{labels[i % len(labels)]}" for i, text in enumerate(texts)]
        (tmp_path / "pairs.csv").write_text("\n".join(["words,class", *lines]), encoding="utf-8")
        study = small_study(
            tmp_path, methods=["majority", "head_only"], data={"text": ["words"], "label": "class", "keep": []}
        )
        results = compare(study, tmp_path / "out")
        assert [run.status for run in results.runs] == ["done", "done"]
        assert results.labels == names
        assert results.test.schema["label"] == pl.String
        assert results.runs[1].test is not None
        assert len(results.runs[1].test.confusion) == len(labels)
        assert write_report(tmp_path / "out").exists()


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "no file": ({"data": {"source": "pears.csv"}}, r"pears\.csv"),
    "no column": ({"data": {"text": ["premis", "hypothesis"]}}, r"premis.*premise"),
    "no label column": ({"data": {"label": "lable"}}, "lable"),
    "no model": ({"models": ["./nothing"]}, "nothing"),
    "a model without weights": ({"models": ["empty"]}, "weight"),
    "max_tokens": ({"protocol": {"max_tokens": 512, "device": "cpu"}}, r"max_tokens is 512.*62|max_tokens is 512.*64"),
    "layers": ({"methods": [{"top_layers": {"layers": LAYERS + 1}}]}, rf"has {LAYERS}"),
    "targets": ({"methods": [{"lora": {"targets": ["quary"]}}]}, "quary"),
    "one class": ({"data": {"source": "one.csv"}}, "one|single"),
    "empty": ({"data": {"source": "empty.csv"}}, r"empty\.csv"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_message_and_leaves_nothing(name: str, tmp_path: Path) -> None:
    changes, message = BAD[name]
    write_pairs(tmp_path / "pairs.csv")
    write_pairs(tmp_path / "one.csv", labels=["only"])
    (tmp_path / "empty.csv").touch()
    (tmp_path / "empty").mkdir()
    config = (model_folder("bert") / "config.json").read_text()
    (tmp_path / "empty" / "config.json").write_text(config)
    before = set(tmp_path.iterdir())
    with pytest.raises(InputError, match=message):
        compare(small_study(tmp_path, **changes), tmp_path / "out")
    assert set(tmp_path.iterdir()) == before


def test_bad_input_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    from thriftune.cli import app

    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "pairs.csv")
    text = "name: s\ndata: {source: pairs.csv, text: premise, label: labl}\nmethods: [majority]\n"
    (tmp_path / "study.yaml").write_text(text)
    result = CliRunner().invoke(app, ["compare", "study.yaml", "--out", "out"])
    assert result.exit_code == 2
    assert "labl" in result.stderr
    assert "Traceback" not in result.output
    assert not (tmp_path / "out").exists()


class TestFolder:
    def test_a_file_or_a_strange_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "cat.jpg").touch()
        study = small_study(tmp_path)
        with pytest.raises(InputError, match="is a file"):
            compare(study, tmp_path / "file")
        with pytest.raises(InputError, match="holds no study"):
            compare(study, tmp_path / "photos")
        with pytest.raises(InputError, match="cannot be written"):
            compare(study, tmp_path / "file" / "below")


class TestProcesses:
    """The parent's side with real processes; `_child` is replaced so that they die at once."""

    @pytest.mark.parametrize(
        ("child", "status", "message"),
        [
            (dying.exits, "failed", "broke off (exit code 3)"),
            (dying.is_killed, "killed", "was killed (exit code -9)"),
        ],
    )
    def test_a_process_that_dies(
        self, child: Any, status: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(process, "_child", child)
        study = small_study(tmp_path, models=None, protocol=None, methods=["majority"])
        (run,) = execute.compare(study, tmp_path / "out").runs
        assert run.status == status
        assert message in (run.message or "")
        assert Store(tmp_path / "out").run(run.run_id).read_record() == run

    def test_a_forked_process_that_is_killed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(process, "_child", dying.is_killed_if_told)
        monkeypatch.setenv("THRIFTUNE_TEST_KILL", "yes")  # after a server may have started with other variables
        (run,) = execute.compare(small_study(tmp_path, methods=["head_only"]), tmp_path / "out").runs
        assert run.status == "killed"
        assert "exit code -9" in (run.message or "")

    @pytest.mark.parametrize(("deaths", "statuses"), [(1, ["done", "done"]), (2, ["failed", "done"])])
    def test_a_fork_server_that_dies_costs_one_run_at_most(
        self, deaths: int, statuses: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A process that cannot be started is started once more; then its run has failed, and the study goes on."""
        left: list[type[Exception]] = [EOFError, ConnectionResetError][:deaths]
        start = BaseProcess.start

        def starts(self: BaseProcess) -> None:
            if left:
                raise left.pop(0)
            start(self)

        monkeypatch.setattr(BaseProcess, "start", starts)
        study = small_study(tmp_path, models=None, protocol=None, methods=["majority", "tfidf"])
        runs = execute.compare(study, tmp_path / "out").runs
        assert [run.status for run in runs] == statuses
        assert deaths == 1 or "broke off" in str(runs[0].message)

    def test_real_processes_give_what_one_process_gives(self, tmp_path: Path, whole: Results) -> None:
        study = small_study(tmp_path, methods=["majority", ALL_METHODS[3]], data={"keep": ["who"]})
        events: list[Event] = []
        results = execute.compare(study, tmp_path / "out", events.append)
        assert [run.status for run in results.runs] == ["done", "done"]
        assert {event.stage for event in events if isinstance(event, RunProgress)} >= {
            "loading",
            "probing",
            "training",
            *TRAINED,
        }
        here = {run.run_id: run for run in whole.runs}
        for run in results.runs:
            assert run.test == here[run.run_id].test
        assert "threads" not in results.runs[0].environment, "a baseline's process never loads torch"
        assert results.runs[1].environment["kernels"] == (build().reason or "compiled")

    def test_ctrl_c_ends_the_run_and_leaves_no_half_of_it(self, tmp_path: Path) -> None:
        study = small_study(tmp_path, protocol={"epochs": 1000, "max_tokens": 32, "device": "cpu"})

        def interrupt(event: Event) -> None:
            if isinstance(event, RunProgress) and event.stage == "training":
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            execute.compare(study, tmp_path / "out", interrupt)
        assert [run.status for run in Store(tmp_path / "out").load().runs] == ["interrupted"]
        left = {path.name for path in (tmp_path / "out" / "runs").glob("*/*")}
        assert left <= {"checkpoint", "log.txt"}, "what it can go on from, where its step was finished in time"


def test_a_run_that_cannot_pack_says_so_and_a_shared_prefix_is_charged_to_each(tmp_path: Path) -> None:
    methods: list[Any] = [
        {"peft": {"type": "PROMPT_TUNING", "num_virtual_tokens": 4}},
        {"top_layers": {"layers": 1}},
        {"lora": {"layers": "top 1"}},
        "full",
    ]
    prompt, top, lora, full = compare(small_study(tmp_path, methods=methods), tmp_path / "out").runs
    assert any("the method changes the input" in note for note in prompt.notes)
    assert not top.notes
    assert top.cost is not None
    assert lora.cost is not None
    assert full.cost is not None
    assert top.cost.prefix_seconds > 0
    assert lora.cost.prefix_seconds == top.cost.prefix_seconds
    assert (lora.cost.prefix_reused, full.cost.prefix_reused, full.cost.prefix_seconds) == (True, False, 0.0)
