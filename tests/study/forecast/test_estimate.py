"""`thriftune estimate`: from a study to what its cells would cost."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.study.small_study import ALL_METHODS, small_study
from tests.tiny_models import model_folder
from typer.testing import CliRunner

from thriftune import cli
from thriftune.amounts import parse_bytes
from thriftune.cost.predicted import speeds
from thriftune.cost.predicted.machine import Machine
from thriftune.errors import InputError
from thriftune.processors import ProcessorTime
from thriftune.report.forecast import remarks, rows, search_remark
from thriftune.results.plain import record_from, values_of, without_reasons
from thriftune.results.prediction import Prediction
from thriftune.results.record import RunRecord
from thriftune.study.execute import compare
from thriftune.study.file.config import Study, study_to_yaml
from thriftune.study.forecast.estimate import Question, document, estimate, search_seconds


def asked(study: Study, **question: Any) -> list[Any]:
    return estimate(study, Question(**{"probe": False, "device": "cpu"} | question))


def test_a_run_costs_what_the_estimate_said(tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=[*ALL_METHODS[4:6], "tfidf"])
    cells = {cell.name: cell.predicted for cell in asked(study)}
    for run in compare(study, tmp_path / "out", isolate=False).runs:
        if run.model is None:
            assert run.predicted is None
            continue
        assert run.predicted is not None
        assert run.cost is not None
        assert run.predicted.peak_memory_bytes == pytest.approx(run.cost.peak_memory_bytes, rel=0.05)
        for name in ("trained_parameters", "head_parameters", "total_parameters", "stored_bytes", "delta_bytes"):
            assert getattr(run.predicted, name) == getattr(run.cost, name) == getattr(cells[run.cell], name), name
        assert cells[run.cell].peak_memory_bytes == run.predicted.peak_memory_bytes
        assert RunRecord.from_json(json.loads(json.dumps(run.to_json()))) == run


def test_a_prediction_that_breaks_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(cell: Any) -> None:
        raise ValueError("no such operator")

    monkeypatch.setattr("thriftune.cost.predicted.estimate.estimate", breaks)
    (run,) = compare(small_study(tmp_path), tmp_path / "out", isolate=False).runs
    assert run.status == "done"
    assert run.predicted is None
    assert run.notes[0] == "Cost was not predicted: ValueError: no such operator"


def test_a_run_that_runs_out_of_memory_has_its_prediction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("thriftune.study.run.transformer_run.train", too_large)
    (run,) = compare(small_study(tmp_path), tmp_path / "out", isolate=False).runs
    assert run.status == "out_of_memory"
    assert run.predicted is not None
    assert run.predicted.peak_memory_bytes > 0


def test_what_fits_and_the_largest_batch(tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=ALL_METHODS[2:3])
    (free,) = asked(study, batch_size=16)
    (cell,) = asked(study, batch_size=16, memory_bytes=free.predicted.peak_memory_bytes - 1)
    assert cell.fits is False
    assert 1 <= cell.largest_batch_size < 16

    def peak(size: int) -> int:
        return int(asked(study, batch_size=size)[0].predicted.peak_memory_bytes)

    limit = free.predicted.peak_memory_bytes - 1
    assert peak(cell.largest_batch_size) <= limit < peak(cell.largest_batch_size + 1)
    (roomy,) = asked(study, memory_bytes=10**12)
    assert roomy.fits
    assert roomy.largest_batch_size == 75, "all training texts"
    assert asked(study, memory_bytes=1000)[0].largest_batch_size == 0


def test_tokens_need_no_data(tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=ALL_METHODS[2:5])
    (tmp_path / "pairs.csv").unlink()
    cells = asked(study, tokens=20, batch_size=4)
    assert [cell.name for cell in cells] == ["head_only", "top_layers 1", "lora r8 all"]
    assert cells[0].predicted.train_seconds is None
    assert "without data" in cells[0].predicted.reasons["train_seconds"]


def test_models_and_devices_can_be_given(tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=ALL_METHODS[3:4])
    models = (str(model_folder("bert")), str(model_folder("distilbert")))
    cells = asked(study, models=models, tokens=16, device="t4")
    assert [cell.model for cell in cells] == list(models)
    assert all(cell.fits and cell.largest_batch_size > 1000 for cell in cells), "a T4 has 16 GB"
    assert rows(cells)[0]["Fits"] == "yes"


def test_padding_to_the_longest_allowed_needs_no_tokenizer(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    folder.mkdir()
    (folder / "config.json").write_text((model_folder("bert") / "config.json").read_text())
    study = small_study(tmp_path, models=[str(folder)], protocol={"padding": "max", "max_tokens": 32, "device": "cpu"})
    assert asked(study)[0].predicted.peak_memory_bytes > 0
    with pytest.raises(InputError, match="no tokenizer"):
        asked(small_study(tmp_path, models=[str(folder)], protocol={"max_tokens": 32, "device": "cpu"}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "8 potatoes"], "no amount of memory"),
        (["--memory", "0GB"], "no amount of memory"),
        (["--batch-size", "0"], "at least one text"),
        (["--batch-size", "100000"], "is impossible: there are 75"),
        (["--device", "gtx9999"], "gtx9999"),
        (["--tokens", "500"], "positions for 64"),
        (["--tokens", "1"], "at least 4 tokens"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_message(arguments: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(study_to_yaml(small_study(tmp_path)), encoding="utf-8")
    done = CliRunner().invoke(cli.app, ["estimate", str(path), "--no-probe", *arguments])
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("Error:") == 1
    assert not done.stdout


def test_texts_of_groups_tell_less_apart(tmp_path: Path) -> None:
    """45 test texts of 5 writers, 9 of each but for chance."""
    path = tmp_path / "study.yaml"
    said = []
    for data in ({}, {"group": "who"}):
        path.write_text(study_to_yaml(small_study(tmp_path, data=data)), encoding="utf-8")
        arguments = ["estimate", str(path), "--no-probe", "--device", "cpu", "--json"]
        said.append(json.loads(CliRunner().invoke(cli.app, arguments).stdout))
    (alone, grouped), (cell,) = (each["tells_apart"][0] for each in said), said[1]["cells"]
    assert (cell["test_groups"], grouped["test_groups"]) == (5, 5)
    assert cell["test_group_size"] == pytest.approx(9, abs=1.5)
    assert said[0]["cells"][0]["test_groups"] is None
    assert grouped["difference"] > 1.2 * alone["difference"]
    assert (alone["assumed_correlation"], grouped["assumed_correlation"]) == (None, 0.1)
    text = CliRunner().invoke(cli.app, ["estimate", str(path), "--no-probe", "--device", "cpu"]).stdout
    assert "related by 0.1 (a guess)" in " ".join(text.split())


def test_json_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "study.yaml"
    path.write_text(study_to_yaml(small_study(tmp_path)), encoding="utf-8")
    done = CliRunner().invoke(cli.app, ["estimate", str(path), "--no-probe", "--device", "cpu", "--json"])
    assert done.exit_code == 0
    printed = json.loads(done.stdout)
    (cell,) = printed["cells"]
    (apart,) = printed["tells_apart"]
    assert (apart["test_texts"], apart["seeds"]) == (cell["test_texts"], cell["seeds"])
    assert apart["difference"] > 0
    predicted = cell["predicted"]
    assert sum(predicted["memory"].values()) == predicted["peak_memory_bytes"] > 0
    assert predicted["trained_parameters"] > 0
    assert predicted["stored_bytes"] > 0
    assert predicted["flops_per_sample"] > 0
    assert predicted["train_seconds"] is None
    assert "--no-probe" in predicted["train_seconds_reason"]
    assert values_of(record_from(Prediction, without_reasons(predicted))) == predicted


def test_times_come_from_a_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "known_machine", lambda *_: Machine({}, {}, 0.0, 1e-9, 0.0, 0.0))
    study = small_study(tmp_path)
    (cell,) = asked(study, probe=True)
    flops = cell.predicted.flops_per_sample
    assert cell.predicted.train_seconds == pytest.approx(flops * 1e-9 * 75 * 2), "75 texts, two epochs"
    assert cell.predicted.prefix_seconds == 0
    assert not cell.predicted.reasons
    assert document(study, Question(), [cell])["cells"][0]["predicted"]["train_seconds"] > 0
    assert document(study, Question(), [cell])["search_seconds"] is None
    seconds = cell.predicted.train_seconds
    assert seconds is not None
    for limit, expected in ((None, 4 * seconds), (seconds, seconds)):
        search = {"trials": 4, "seconds": limit, "over": {"learning_rate": [1e-5, 1e-3, "log"]}}
        found = search_seconds(small_study(tmp_path, search=search), [cell])
        assert found == pytest.approx(expected)
        assert "up to 4 trials of each method" in (search_remark(found, 4) or "")
    assert search_remark(None, None) is None


def test_where_validation_decides_the_time_is_a_guess_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speeds, "known_machine", lambda *_: Machine({}, {}, 0.0, 1e-9, 0.0, 0.0))
    auto = {"epochs": "auto", "batch_size": 16, "max_tokens": 24, "device": "cpu"}
    one, probing, short = (
        asked(small_study(tmp_path, methods=[{"full": {"learning_rate": rate}}], protocol=auto | budget), probe=True)[0]
        for rate, budget in ((1e-3, {}), ("auto", {}), (1e-3, {"budget": {"seconds": 1e-6}}))
    )
    assert one.guessed_epochs == pytest.approx(60), "300 steps of 5 an epoch, bounded by max_epochs"
    assert one.predicted.train_samples == pytest.approx(75 * 60)
    assert one.predicted.train_seconds == pytest.approx(one.predicted.flops_per_sample * 1e-9 * 75 * 60)
    assert probing.predicted.train_samples == pytest.approx(75 * (60 + 3 * 20)), "three probes of 100 steps"
    assert short.predicted.train_seconds == pytest.approx(1e-6), "the budget's seconds"
    assert "a guess of 60 epochs: validation decides" in remarks([one])[-1]
    assert "guess" not in remarks(asked(small_study(tmp_path), probe=True))[-1]
    assert json.loads(json.dumps(values_of(one)))["guessed_epochs"] == one.guessed_epochs


def test_a_quick_probe_is_no_full_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []

    def probe(device: str, hidden: int, quick: bool) -> Machine:
        made.append(quick)
        return Machine({}, {}, 0.0, 1e-9, 0.0, float(quick))

    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path))
    monkeypatch.setattr("thriftune.cost.predicted.probe.probe_machine", probe)
    quiet = SimpleNamespace(now=lambda: ProcessorTime(1.0, 0.0))
    monkeypatch.setattr("thriftune.cost.predicted.speeds.ProcessorTime", quiet)
    folder = model_folder("bert")
    for quick in (True, True, False, False, True):
        speeds.probed_machine("cpu", folder, lambda: None, quick)
    assert made == [True, False], "each once, and the full one does for both"


def test_amounts_of_memory() -> None:
    assert parse_bytes("8GB") == 8 * 10**9
    assert parse_bytes(" 1.5 gib ") == 3 * 2**29


def test_a_probe_that_had_to_wait_is_neither_kept_nor_taken_at_its_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter(
        [ProcessorTime(1.0, 0.0), ProcessorTime(2.0, 1.0), ProcessorTime(5.0, 1.0), ProcessorTime(6.0, 1.0)]
    )
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path))
    monkeypatch.setattr("thriftune.cost.predicted.speeds.ProcessorTime", SimpleNamespace(now=lambda: next(readings)))
    monkeypatch.setattr("thriftune.cost.predicted.probe.probe_machine", lambda *_: Machine({}, {}, 0.0, 1e-9, 0.0, 4.0))
    folder = model_folder("bert")
    assert speeds.probed_machine("cpu", folder, lambda: None, quick=True).step == 2.0
    assert speeds.known_machine("cpu", folder, quick=True) is None
    assert speeds.probed_machine("cpu", folder, lambda: None, quick=True).step == 4.0
    assert speeds.known_machine("cpu", folder, quick=True) is not None
