"""How `compare` shows a study: lines for machines, or next to nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import run
from tests.study.small_study import write_pairs

STUDY = """\
name: shown
data: {source: pairs.csv, text: [premise, hypothesis], label: label, split: {test: 0.3}}
methods: [majority, tfidf]
"""


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path / "pairs.csv", 90)
    (tmp_path / "study.yaml").write_text(STUDY)
    return tmp_path / "study.yaml"


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_lines_for_machines_and_nothing_else(study: Path) -> None:
    said = run("compare", "study.yaml", "--out", "out", "--json")
    assert said.exit_code == 0, said.output
    events = lines(said.stdout)
    assert {event["event"] for event in events} >= {"study_planned", "run_started", "run_finished", "finished"}
    finished = [event for event in events if event["event"] == "run_finished"]
    assert {event["name"] for event in finished} == {"majority", "tfidf"}
    assert all(event["status"] == "done" for event in finished)
    last = events[-1]
    assert (last["event"], last["exit_code"], last["results"]) == ("finished", 0, "out")
    assert Path(last["report"]).is_file()
    assert last["take"] in {"majority", "tfidf", None}
    again = lines(run("compare", "out", "--json").stdout)
    assert [event["reused"] for event in again if event["event"] == "run_finished"] == [True, True]


def test_an_error_is_the_last_line(study: Path) -> None:
    study.write_text(STUDY.replace("label: label", "label: nowhere"))
    said = run("compare", "study.yaml", "--out", "out", "--json")
    assert said.exit_code == 2
    last = lines(said.stdout)[-1]
    assert (last["event"], last["exit_code"]) == ("error", 2)
    assert "nowhere" in last["message"]
    assert last["message"] in said.stderr.replace("\n", " ")
    said = run("compare", "missing.yaml", "--json")
    assert (said.exit_code, lines(said.stdout)[-1]["event"]) == (2, "error")


def test_a_file_of_data_is_proposed_without_a_word_on_standard_output(study: Path) -> None:
    study.unlink()
    said = run("compare", "missing.csv", "--json")
    assert said.exit_code == 2
    assert [event["event"] for event in lines(said.stdout)] == ["error"]


def test_quiet_shows_what_to_take_alone(study: Path) -> None:
    usual, quiet = run("compare", "study.yaml", "--out", "one"), run("compare", "study.yaml", "--out", "two", "--quiet")
    assert usual.exit_code == quiet.exit_code == 0
    assert "tfidf: started" in usual.stderr
    assert quiet.stderr == ""
    first, second = (re.sub(r"[\d.\s]+", " ", said.stdout) for said in (usual, quiet))  # times differ
    assert second.replace("two", "one") == first
    assert "Report:" in quiet.stdout


@pytest.mark.parametrize("two", [("--quiet", "--json"), ("--verbose", "--json"), ("--quiet", "--verbose")])
def test_two_ways_exclude_each_other(study: Path, two: tuple[str, str]) -> None:
    said = run("compare", "study.yaml", *two)
    assert said.exit_code == 2
    assert "exclude each other" in said.stderr


def test_each_run_leaves_a_log(study: Path) -> None:
    assert run("compare", "study.yaml", "--out", "out", "--quiet").exit_code == 0
    for folder in Path("out/runs").iterdir():
        text = (folder / "log.txt").read_text()
        assert "done: test accuracy" in text
        assert json.loads((folder / "run.json").read_text())["run_id"] in text
        assert "log.txt" not in json.loads((folder / "run.json").read_text())["files"]
