"""The command line: exit codes, messages, and help whose examples are true."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from thriftune import cli
from thriftune.errors import InputError
from thriftune.methods import discover
from thriftune.study.config import load_study
from thriftune.study.events import StudyPlanned

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
REVIEWS = "id,review,mood\n" + "".join(f"{i},text {i} is fine,good\n{i}b,text {i} is awful,bad\n" for i in range(20))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Replaces the study's execution, the report and the summary by what a test gives."""

    def replace(outcome: Any) -> None:
        def compare(study: Any, out: Path, listener: Callable[[Any], None]) -> Any:
            listener(StudyPlanned(["full"], []))
            if isinstance(outcome, BaseException):
                raise outcome
            return SimpleNamespace(runs=[SimpleNamespace(name="full", status=outcome, message="why")])

        monkeypatch.setitem(sys.modules, "thriftune.study.execute", SimpleNamespace(compare=compare))
        render = SimpleNamespace(write_report=lambda out: out / "report.html")
        monkeypatch.setitem(sys.modules, "thriftune.report.render", render)
        table = SimpleNamespace(
            summary_rows=lambda results: [{"Run": "full", "Accuracy": "80.0%"}],
            summary_sentences=lambda results: ["One sentence."],
            summary_notes=lambda results: [],
            summary_remarks=lambda results: ["Baseline: one."],
            verdict_sentences=lambda results: ["full is better than lora."],
        )
        monkeypatch.setitem(sys.modules, "thriftune.report.table", table)

    return replace


class TestCompare:
    def test_all_done(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed("done")
        result = run("compare")
        assert result.exit_code == 0
        for part in (
            "full",
            "80.0%",
            "One sentence.",
            "Verdicts:\nfull is better than lora.\n",
            "Report: results-snli-demo/report.html",
        ):
            assert part in result.stdout
        assert "\x1b" not in result.output
        assert "1 run" in result.stderr

    @pytest.mark.parametrize("status", ["failed", "out_of_memory", "diverged"])
    def test_a_failed_run(self, here: Path, executed: Callable[[Any], None], status: str) -> None:
        executed(status)
        result = run("compare", "--out", "x")
        assert result.exit_code == 1
        assert f"full: {status.replace('_', ' ')}. why" in result.stderr
        assert "Report:" in result.stdout

    def test_interrupted(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed(KeyboardInterrupt())
        result = run("compare")
        assert result.exit_code == 130
        assert "the same command resumes" in result.stderr

    def test_wrong_input_later(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed(InputError("no such column"))
        result = run("compare")
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "Error: no such column")

    def test_wrong_study(self, here: Path) -> None:
        result = run("compare", "--set", "protocol.epoch=1")
        assert result.exit_code == 2
        assert 'did you mean "epochs"?' in result.stderr
        assert "Traceback" not in result.output
        assert result.stdout == ""
        assert [path.name for path in here.iterdir()] == ["reviews.csv"]

    def test_missing_study(self, here: Path) -> None:
        result = run("compare", "nothing.yaml")
        assert result.exit_code == 2
        assert "There is no study file nothing.yaml" in result.stderr

    def test_a_folder_that_is_something_else(self, here: Path) -> None:
        (here / "photos").mkdir()
        (here / "photos" / "cat.jpg").touch()
        result = run("compare", "--out", "photos")
        assert result.exit_code == 2
        assert "photos" in result.stderr
        assert [path.name for path in (here / "photos").iterdir()] == ["cat.jpg"]


class TestInit:
    def test_writes_a_study_that_loads(self, here: Path) -> None:
        result = run("init", "reviews.csv")
        assert result.exit_code == 0
        assert '"review" is the text' in result.stdout
        study = load_study(here / "reviews.yaml")
        assert (study.data.text, study.data.label, study.data.source) == (("review",), "mood", "reviews.csv")
        assert len(study.methods) >= 5

    def test_paths_are_relative_to_the_study_file(self, here: Path) -> None:
        (here / "studies").mkdir()
        assert run("init", "reviews.csv", "--out", "studies/a.yaml").exit_code == 0
        assert load_study(here / "studies" / "a.yaml").data.source == "../reviews.csv"

    def test_names_that_yaml_would_misread(self, here: Path) -> None:
        columns = 'off,"label: #1"'
        rows = "".join(f"some words number {i},{'yes' if i % 2 else 'a: b'}\n" for i in range(20))
        (here / "a: #b.csv").write_text(f"{columns}\n{rows}", encoding="utf-8")
        assert run("init", "a: #b.csv", "--out", "odd.yaml").exit_code == 0
        data = load_study(here / "odd.yaml").data
        assert (data.source, data.text, data.label) == ("a: #b.csv", ("off",), "label: #1")

    def test_the_demo_source(self, here: Path) -> None:
        assert run("init", "demo:snli").exit_code == 0
        assert load_study(here / "demo-snli.yaml").data.source == "demo:snli"

    def test_never_overwrites(self, here: Path) -> None:
        (here / "reviews.yaml").write_text("mine", encoding="utf-8")
        result = run("init", "reviews.csv")
        assert result.exit_code == 2
        assert "exists already" in result.stderr
        assert (here / "reviews.yaml").read_text(encoding="utf-8") == "mine"

    def test_missing_file(self, here: Path) -> None:
        result = run("init", "review.csv")
        assert result.exit_code == 2
        assert "review.csv" in result.stderr
        assert not (here / "review.yaml").exists()


class TestMethods:
    def test_lists_all(self) -> None:
        result = run("methods")
        assert result.exit_code == 0
        for name in discover():
            assert f"\n{name}: " in result.stdout

    def test_json(self) -> None:
        (entry,) = json.loads(run("methods", "lora", "--json").stdout)
        assert entry["name"] == "lora"
        assert {"key", "type", "default", "help"} == set(entry["settings"][0])

    def test_unknown(self) -> None:
        result = run("methods", "loora")
        assert result.exit_code == 2
        assert 'did you mean "lora"?' in result.stderr


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


def test_help_is_fast_and_works_as_a_program() -> None:
    code = "import sys; sys.argv[1:] = ['--help']; from thriftune.cli import main; main()"
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "compare" in done.stdout
    assert time.perf_counter() - start < 10, "no heavy import belongs on this path"


def examples(name: str) -> list[list[str]]:
    lines = (COMMANDS[name].epilog or "").splitlines()
    return [shlex.split(line) for line in lines if line.startswith("  thriftune")]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_in_examples(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert examples(name)
    assert shlex.split(result.stdout.rstrip().splitlines()[-1]) == examples(name)[-1]


@pytest.mark.parametrize(
    "words", [words for name in COMMANDS for words in examples(name)], ids=lambda words: " ".join(words[1:])
)
def test_examples_run(words: list[str], here: Path, executed: Callable[[Any], None]) -> None:
    executed("done")
    study = "name: s\ndata: {source: reviews.csv, text: review, label: mood}\nmodels: [m]\nmethods: [lora, full]\n"
    (here / "study.yaml").write_text(study, encoding="utf-8")
    result = run(*words[1:])
    assert result.exit_code == 0, result.output
