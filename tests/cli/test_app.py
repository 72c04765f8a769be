"""What holds for every command: exit codes, and help whose examples are true."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import typer.main
from tests.cli.commands import run
from tests.report.synthetic import sure, write_runs

from thriftune.cli import app
from thriftune.export import export as exporting
from thriftune.export import hub
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.serve import models as served
from thriftune.serve import server
from thriftune.use import calibration, evaluate, files, predict, source
from thriftune.use.classifier import Classifier

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_report_of_an_empty_folder(tmp_path: Path) -> None:
    result = run("report", str(tmp_path))
    assert result.exit_code == 2
    assert "holds no results.json" in result.stderr


def test_usage_errors_are_2() -> None:
    assert run("frobnicate").exit_code == 2
    assert run("compare", "--nothing").exit_code == 2
    assert run("report").exit_code == 2


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("thriftune 0.")


def test_works_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "thriftune", "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "compare" in done.stdout


def examples(name: str) -> list[list[str]]:
    lines = (COMMANDS[name].epilog or "").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  thriftune")]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_in_examples(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert examples(name)
    assert shlex.split(result.stdout.rstrip().splitlines()[-1]) == examples(name)[-1]


@pytest.fixture
def labelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trained classifier and files to label, without either: `test_predict` has the real ones."""
    done = SimpleNamespace(
        sentences=lambda: ["40 rows"],
        table=list,
        source=SimpleNamespace(name="lora", notes=(), results=None, record=None),
    )
    monkeypatch.setattr(Classifier, "load", lambda source: done)
    monkeypatch.setattr(predict, "check_request", lambda file, out, options: (file, out, options.format))
    monkeypatch.setattr(predict, "calibrated", lambda classifier, options, say: classifier)
    monkeypatch.setattr(predict, "predict_file", lambda *request: done)
    monkeypatch.setattr(predict, "expected", lambda classifier, abstain: f"at {abstain}")
    monkeypatch.setattr(files, "check_source", lambda file, format: None)
    monkeypatch.setattr(evaluate, "evaluate_file", lambda classifier, file, **request: done)
    monkeypatch.setattr(done, "document", dict, raising=False)
    monkeypatch.setattr("thriftune.use.evaluated.study.study_of", lambda source: SimpleNamespace(path=Path("results")))
    added = SimpleNamespace(name="july", runs=["lora"])
    monkeypatch.setattr("thriftune.use.evaluated.study.add_to_study", lambda *request: added)
    monkeypatch.setattr("thriftune.cli.evaluate._rebuilt", lambda store: store.path / "report.html")
    made = SimpleNamespace(table=list, sentences=lambda: ["checked"], folder=Path("classifier"))
    monkeypatch.setattr(source, "find", lambda text: SimpleNamespace(name=text, run="run", labels=("a", "b")))
    monkeypatch.setattr(calibration, "fit_temperature", lambda run, labels: 1.5)
    monkeypatch.setattr(exporting, "export", lambda source, to, format, **request: made)
    monkeypatch.setattr(hub, "check_token", lambda: None)
    monkeypatch.setattr(hub, "push", lambda folder, name, **request: f"https://hub/{name}")
    one = SimpleNamespace(served={"lora": SimpleNamespace(model=SimpleNamespace(count=1))})
    listen = server.listen
    monkeypatch.setattr(server, "listen", lambda host, port: listen(host, 0))
    monkeypatch.setattr(server, "serve", lambda models, listening, limits, ready: ready())
    monkeypatch.setattr(served, "named", lambda models: [("lora", each) for each in models])
    monkeypatch.setattr(served, "load", lambda sources, **options: one)


@pytest.fixture
def finished(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results as a study leaves them, and a stand-in for training again."""
    rng = np.random.default_rng(0)
    truth = np.arange(60) % 2
    texts = {"text": [f"text {i}" for i in range(60)], "label": truth}
    for folder in ("results", "results-small", "results-base"):
        answers = {name: sure(truth, rng.random(60) < 0.2, 2, rng) for name in ("lora r8 all seed 1", "full")}
        store = write_runs(here / folder, texts, ("bad", "good"), answers)
        for each in store.load().runs:
            store.run(each.run_id).model_path.mkdir(parents=True)
            (store.run(each.run_id).model_path / "majority.json").touch()
    study = "{name: s, data: {source: ../reviews.csv, text: review, label: mood}, methods: [majority]}"
    (here / "results" / "study.yaml").write_text(study)

    def again(results: Results, record: RunRecord, expected: dict[str, Any], everything: bool, listen: Any) -> Path:
        folder = results.store.refit_path / "x"
        (folder / "model").mkdir(parents=True)
        about = {"run_id": record.run_id, "name": record.name, "trained_on": ["train"], "rows": 2, "study_rows": 1}
        about |= {"method": {}, "seed": 0, "chosen": {}, "epochs": 1, "steps": 1, "seconds": 1.0, "stored_bytes": 1}
        about |= {"expected": expected, "notes": [], "environment": {}}
        (folder / "refit.json").write_text(json.dumps(about))
        return folder

    monkeypatch.setattr("thriftune.study.refit.refit", again)
    worked = SimpleNamespace(made=[], left=0, elsewhere=0, last=False, results=SimpleNamespace(runs=[]))
    monkeypatch.setattr("thriftune.study.shared.work.work", lambda *given: worked)


@pytest.mark.parametrize(
    "words", [words for name in COMMANDS for words in examples(name)], ids=lambda words: " ".join(words[1:])
)
@pytest.mark.usefixtures("foreseen", "labelled", "finished", "elsewhere")
def test_examples_run(
    words: list[str], here: Path, executed: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(here / "cache"))
    executed("done")
    study = "name: s\ndata: {source: reviews.csv, text: review, label: mood}\nmodels: [m]\nmethods: [lora, full]\n"
    (here / "study.yaml").write_text(study, encoding="utf-8")
    result = run(*words[1:])
    assert result.exit_code == 0, result.output
