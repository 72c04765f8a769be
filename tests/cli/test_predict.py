"""`thriftune predict` and `thriftune evaluate` as programs."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.study.small_study import write_pairs
from tests.use.trained import study
from typer.testing import CliRunner

from thriftune.cli.entry import app


def test_predict_and_evaluate(tmp_path: Path) -> None:
    path, out, runner = write_pairs(tmp_path / "pairs.csv", 40), tmp_path / "out.csv", CliRunner()
    source = f"{study().store.path}:tfidf"
    done = runner.invoke(app, ["predict", source, str(path), "--out", str(out), "--abstain", "0.6"])
    assert done.exit_code == 0, done.output
    assert "calibrated on validation" in done.stderr
    assert "Predicting with tfidf" in done.stderr
    assert "40 rows in" in done.stdout
    assert "study's 45 test texts tfidf is at least 0.6 sure" in done.stdout
    again = runner.invoke(app, ["predict", source, str(path), "--out", str(out), "--no-calibration"])
    assert "is replaced when all rows are done" in again.stderr
    assert "calibrated" not in again.stderr
    scored = runner.invoke(app, ["evaluate", source, str(out), "--json", "--no-append"])
    assert json.loads(scored.stdout)["rows"] == 40
    assert json.loads(scored.stdout)["name"] is None
    assert "Precision" in runner.invoke(app, ["evaluate", source, str(out), "--no-append"]).stdout
    for wrong in (["--name", "a", "--no-append"], ["--name", "a/b"]):
        assert runner.invoke(app, ["evaluate", source, str(out), *wrong]).exit_code == 2
    refused = runner.invoke(app, ["predict", source, str(path), "--out", str(path)])
    assert refused.exit_code == 2


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_help_ends_in_examples(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"]).stdout
    assert f"  thriftune {command} results" in shown


def test_evaluate_adds_to_the_report(tmp_path: Path) -> None:
    folder = shutil.copytree(study().store.path, tmp_path / "out")
    path, runner = write_pairs(tmp_path / "pairs.csv", 40), CliRunner()
    done = runner.invoke(app, ["evaluate", f"{folder}:tfidf", str(path), "--name", "july"])
    assert done.exit_code == 0, done.output
    assert 'the test set "july"' in done.stdout
    assert "july: tfidf is right on" in (folder / "report.html").read_text(encoding="utf-8")
    model = next(folder.glob("runs/*/vocabulary.json"), None) or next(folder.glob("runs/*/model/vocabulary.json"))
    shutil.copytree(model.parent.parent, tmp_path / "alone")
    alone = runner.invoke(
        app, ["evaluate", str(tmp_path / "alone"), str(path), "--text", "premise", "--text", "hypothesis"]
    )
    assert alone.exit_code == 0, alone.output
    assert "test set" not in alone.stdout
    assert runner.invoke(app, ["evaluate", str(tmp_path / "alone"), str(path), "--name", "a"]).exit_code == 2


@pytest.mark.slow
def test_killed_at_random_ten_times(tmp_path: Path) -> None:
    path, out = write_pairs(tmp_path / "pairs.csv", 30_000), tmp_path / "out.csv"
    command = [sys.executable, "-m", "thriftune", "predict", f"{study().store.path}:tfidf"]
    command += [str(path), "--out", str(out)]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    took, kills, clock = time.monotonic() - started, 0, random.Random(0)
    whole = out.read_bytes()
    out.unlink()
    while kills < 10:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(clock.uniform(0.4, 1.0) * took)
        kills += process.poll() is None
        process.kill()
        process.wait()
        assert not out.exists() or out.read_bytes() == whole
    subprocess.run(command, check=True, capture_output=True)
    assert out.read_bytes() == whole
    with out.open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 30_000
