"""The command line: exit codes, messages, and help whose examples are true."""

from __future__ import annotations

import json
import os
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
from tests.study.synthetic_speeds import speeds
from typer.testing import CliRunner

from thriftune import cli
from thriftune.data.settings import SplitSettings
from thriftune.errors import InputError
from thriftune.methods import discover
from thriftune.study.events import StudyPlanned
from thriftune.study.file.config import load_study
from thriftune.study.forecast import estimate as forecast

COMMANDS = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
REVIEWS = "id,review,mood\n" + "".join(f"{i},text {i} is fine,good\n{i}b,text {i} is awful,bad\n" for i in range(20))


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.app, list(arguments))


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are cut to the terminal; the tests read whole words."""
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture(autouse=True)
def _timed(monkeypatch: pytest.MonkeyPatch) -> None:
    """init times no machine."""
    monkeypatch.setattr("thriftune.study.proposal.speeds.speeds_here", lambda *_: speeds(1e-3))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reviews.csv").write_text(REVIEWS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Replaces the study's execution, the report and the summary by what a test gives."""

    def replace(outcome: Any) -> None:
        def compare(study: Any, out: Path, listener: Callable[[Any], None], **options: Any) -> Any:
            listener(StudyPlanned(["full"], []))
            if isinstance(outcome, BaseException):
                raise outcome
            run = SimpleNamespace(name="full", status=outcome, message="why")
            return SimpleNamespace(results=SimpleNamespace(runs=[run]), out=out)

        monkeypatch.setattr("thriftune.comparison.compare_and_analyse", compare)
        render = SimpleNamespace(
            write_report=lambda out: out / "report.html",
            write_page=lambda analysis: analysis.out / "report.html",
            write_figures=lambda out, charts: None,
        )
        monkeypatch.setitem(sys.modules, "thriftune.report.render", render)
        table = SimpleNamespace(
            summary_rows=lambda results: [{"Run": "full", "Accuracy": "80.0%"}],
            summary_sentences=lambda results: ["One sentence."],
            summary_notes=lambda results: [],
            summary_remarks=lambda results: ["Baseline: one."],
            search_lines=lambda results: [],
            summary_training=lambda results: (["Still improving: full; 6 epochs would tell:"], "thriftune compare x"),
            recommendation_rows=lambda ranked, tasks: [{"Rank": "1"}],
            panel_rows=lambda panel: [{"Place": "1"}],
            verdict_sentences=lambda results: ["full is better than lora."],
        )
        monkeypatch.setitem(sys.modules, "thriftune.report.table", table)
        monkeypatch.setattr(forecast, "estimate", lambda study, question, report: [])

    return replace


class TestCompare:
    def test_all_done(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed("done")
        result = run("compare")
        assert result.exit_code == 0
        for part in (
            "full",
            "80.0%",
            "Still improving: full; 6 epochs would tell:\n  thriftune compare x\n",
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


@pytest.fixture
def foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces what is chosen from, and what is estimated along an axis, by a few made-up numbers."""
    from thriftune.analysis.findings.choice import Candidate
    from thriftune.cost.predicted import crossovers
    from thriftune.results.record import AxisPoint

    def cell(name: str, accuracy: float | None, memory: float, seconds: float) -> Candidate:
        interval = None if accuracy is None else (accuracy - 0.01, accuracy + 0.01)
        return Candidate(
            name=name,
            model="m",
            measured=accuracy is not None,
            accuracy=accuracy,
            interval=interval,
            memory=memory,
            seconds=seconds,
            stored_bytes=9e7,
            shared_bytes=0,
        )

    def points(axis: str, setting: Any, report: Any) -> list[AxisPoint]:
        lines = {"lora": lambda x: 10 * x, "top": lambda x: 5000.0}
        return [AxisPoint(axis, m, x, str(x), int(line(x)), 1e9) for m, line in lines.items() for x in (64, 1024)]

    cells = [cell("lora", 0.78, 2e8, 118), cell("top", 0.775, 9e7, 49), cell("guess", None, 4e8, 150)]
    monkeypatch.setattr(cli, "_candidates", lambda source: (cells, ([], None)))
    monkeypatch.setattr(crossovers, "axis_points", points)


@pytest.mark.usefixtures("foreseen")
class TestRecommend:
    def test_ranks_and_says_why(self) -> None:
        result = run("recommend", "results", "--memory", "300MB", "--tasks", "5")
        assert result.exit_code == 0
        for part in ("Take top", "measured", "predicted", "Stored, 5 tasks", "400.0 MB memory", "Not beaten in both"):
            assert part in result.stdout

    def test_json(self) -> None:
        document = json.loads(run("recommend", "results", "--time", "1min", "--json").stdout)
        assert document["limits"]["seconds"] == 60
        assert [cell["candidate"]["name"] for cell in document["cells"]] == ["top", "lora", "guess"]
        assert [cell["rank"] for cell in document["cells"]] == [1, None, None]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--memory", "8 potatoes"], '"8 potatoes" is no amount of memory'),
            (["--time", "soon"], '"soon" is no amount of time. Give a number and a unit: 90s'),
            (["--time", "0s"], "no amount of time"),
            (["--tasks", "0"], "at least one task"),
        ],
    )
    def test_wrong_limits(self, options: list[str], message: str) -> None:
        result = run("recommend", "results", *options)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stdout == ""


def test_recommend_from_a_results_folder_and_from_nothing(tmp_path: Path) -> None:
    from tests.report.synthetic import VARIANTS, write

    write(tmp_path / "out", VARIANTS["plain"])
    result = run("recommend", str(tmp_path / "out"), "--memory", "2GB")
    assert result.exit_code == 0
    assert "Take " in result.stdout
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "nothing.yaml"):
        result = run("recommend", str(tmp_path / wrong))
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: ")


@pytest.mark.usefixtures("foreseen")
class TestCrossovers:
    def test_says_where_lines_cross_and_writes_charts(self, here: Path) -> None:
        result = run("crossovers", "--axis", "tokens", "--out", "made")
        assert result.exit_code == 0
        assert "Below about 500 tokens per batch lora needs less memory than top" in " ".join(result.stdout.split())
        assert {path.name for path in (here / "made").iterdir()} == {"crossovers.json", "figures"}
        figures = {path.name for path in (here / "made" / "figures").iterdir()}
        assert figures == {"tokens-memory.svg", "tokens-time.svg"}

    def test_json(self) -> None:
        document = json.loads(run("crossovers", "--json").stdout)
        assert list(document["axes"]) == ["tokens", "depth", "size"]
        assert len(document["axes"]["size"]["points"]) == 4
        assert "BERT-base" in document["setting"]

    def test_the_report_shows_what_was_left_in_its_folder(self, here: Path) -> None:
        from tests.report.synthetic import VARIANTS, write

        from thriftune.analysis.display.panel import NotApplicable, Panel
        from thriftune.analysis.panels.cost.crossovers import build
        from thriftune.results.store import Store

        write(here / "out", VARIANTS["plain"])
        missing = build(Store(here / "out").load())
        assert isinstance(missing, NotApplicable)
        assert "thriftune crossovers --out out" in missing.reason
        assert run("crossovers", "--axis", "tokens", "--out", "out").exit_code == 0
        panel = build(Store(here / "out").load())
        assert isinstance(panel, Panel)
        assert "Below about 500 tokens per batch lora needs less memory than top" in panel.sentences[0]
        assert "BERT-base" in panel.notes[0]
        assert [chart.name for chart in panel.charts] == ["tokens-memory", "tokens-time"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--axis", "weight"], 'axis "weight" is not known. Known: '),
            (["--batch-size", "0"], "batch size given is 0"),
            (["--tokens", "1000"], "positions for 512"),
            (["--device", "h1oo"], "h100"),
            (["--model", "nowhere/nothing/here"], "nowhere"),
        ],
    )
    def test_wrong_input(self, here: Path, options: list[str], message: str) -> None:
        result = run("crossovers", *options)
        assert result.exit_code == 2
        assert message in result.stderr


class TestInit:
    def test_writes_a_study_that_loads(self, here: Path) -> None:
        result = run("init", "reviews.csv")
        assert result.exit_code == 0
        assert '"review" is the text' in result.stdout
        study = load_study(here / "reviews.yaml")
        assert (study.data.text, study.data.label, study.data.source) == (("review",), "mood", "reviews.csv")
        assert {method.NAME for method in study.methods} >= {"tfidf", "embeddings", "head_only", "lora", "full"}
        assert (study.protocol.epochs, study.protocol.batch_size) == ("auto", 8)
        assert "- Time: about " in result.stdout
        assert "Time: about " in (here / "reviews.yaml").read_text(encoding="utf-8")

    def test_without_a_probe_no_time_is_said(self, here: Path) -> None:
        result = run("init", "reviews.csv", "--no-probe")
        assert result.exit_code == 0
        assert "Time is not predicted: " in result.stdout
        load_study(here / "reviews.yaml")

    def test_paths_are_relative_to_the_study_file(self, here: Path) -> None:
        (here / "studies").mkdir()
        assert run("init", "reviews.csv", "--out", "studies/a.yaml").exit_code == 0
        assert load_study(here / "studies" / "a.yaml").data.source == "../reviews.csv"

    def test_columns_can_be_chosen(self, here: Path) -> None:
        rows = "".join(f"title {i},body number {i},{i % 3},{i % 2}\n" for i in range(40))
        (here / "a.csv").write_text(f"title,body,label,lang\n{rows}", encoding="utf-8")
        result = run("init", "a.csv", "--text", "title", "--text", "body", "--label", "lang")
        assert result.exit_code == 0, result.output
        data = load_study(here / "a.yaml").data
        assert (data.text, data.label) == (("title", "body"), "lang")
        assert '"lang" is the label: --label says so' in result.stdout
        wrong = run("init", "a.csv", "--out", "b.yaml", "--label", "lan")
        assert (wrong.exit_code, 'did you mean "lang"' in wrong.stderr) == (2, True)
        assert not (here / "b.yaml").exists()

    def test_splits_beside_the_file_and_warnings(self, here: Path) -> None:
        rows = "".join(f"text {i % 50},{'xX'[i % 2]}\n" for i in range(120))
        (here / "data").mkdir()
        for name in ("train", "test"):
            (here / "data" / f"{name}.csv").write_text(f"text,label\n{rows}", encoding="utf-8")
        result = run("init", "data/train.csv")
        assert result.exit_code == 0, result.output
        study = load_study(here / "train.yaml")
        assert study.data.source == {"train": "data/train.csv", "test": "data/test.csv"}
        assert study.data.split == SplitSettings(validation=0.2)
        warned = [line for line in result.stdout.splitlines() if line.startswith("! ")]
        assert any("120 of 120 test texts stand in train too" in line for line in warned)
        assert any("data.labels: {X: x} merges them" in line for line in warned)
        text = (here / "train.yaml").read_text(encoding="utf-8")
        assert "# To settle before comparing:" in text
        assert "  # deduplicate: true" in text

    def test_a_split_column(self, here: Path) -> None:
        rows = "".join(f"text {i},{'xy'[i % 2]},{'train' if i < 80 else 'test'}\n" for i in range(100))
        (here / "a.csv").write_text(f"text,label,split\n{rows}", encoding="utf-8")
        assert run("init", "a.csv").exit_code == 0
        assert load_study(here / "a.yaml").data.split == SplitSettings(column="split", validation=0.2)

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


class TestCache:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "kept"))
        return tmp_path / "kept" / "prefixes"

    def fill(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "a.npy").write_bytes(b"x" * 2_000_000)
        (folder / "b.npy").write_bytes(b"x" * 1000)
        note = {"model": "demo:minilm", "layer": 4, "texts": 3000, "tokens": 90_000, "seconds": 12.5}
        (folder / "a.json").write_text(json.dumps(note), encoding="utf-8")
        os.utime(folder / "a.npy", (time.time() - 7200, time.time() - 7200))

    def test_empty(self, folder: Path) -> None:
        for arguments in ([], ["--clear"]):
            result = run("cache", *arguments)
            assert result.exit_code == 0
            assert f"No outputs of frozen layers are kept in {folder} (at most 20.0 GB)." in result.stdout
        assert json.loads(run("cache", "--json").stdout)["entries"] == []

    def test_shows_what_is_there(self, folder: Path) -> None:
        self.fill(folder)
        result = run("cache")
        assert result.exit_code == 0
        line = next(line for line in result.stdout.splitlines() if "a.npy" in line)
        for part in ("demo:minilm", "4", "3,000", "90,000", "2.00 MB", "2 hours ago", "12.5 s"):
            assert part in line
        assert "unknown" in next(line for line in result.stdout.splitlines() if "b.npy" in line)
        assert f"2 files, 2.00 MB of at most 20.0 GB, in {folder}" in result.stdout

    def test_json(self, folder: Path) -> None:
        self.fill(folder)
        found = json.loads(run("cache", "--json").stdout)
        assert (found["total_bytes"], found["limit_bytes"], found["folder"]) == (2_001_000, 20_000_000_000, str(folder))
        newest, oldest = found["entries"]
        assert (newest["file"], newest["model"]) == ("b.npy", None)
        assert (oldest["model"], oldest["layer"], oldest["tokens"]) == ("demo:minilm", 4, 90_000)
        assert oldest["age_seconds"] > 7000

    def test_clear(self, folder: Path) -> None:
        self.fill(folder)
        assert f"Deleted 2 files (2.00 MB) from {folder}." in run("cache", "--clear").stdout
        assert list(folder.iterdir()) == []


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


@pytest.mark.parametrize(
    "words", [words for name in COMMANDS for words in examples(name)], ids=lambda words: " ".join(words[1:])
)
@pytest.mark.usefixtures("foreseen")
def test_examples_run(
    words: list[str], here: Path, executed: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(here / "cache"))
    executed("done")
    study = "name: s\ndata: {source: reviews.csv, text: review, label: mood}\nmodels: [m]\nmethods: [lora, full]\n"
    (here / "study.yaml").write_text(study, encoding="utf-8")
    result = run(*words[1:])
    assert result.exit_code == 0, result.output
