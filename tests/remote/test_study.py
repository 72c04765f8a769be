"""Whole studies in folders elsewhere: as they run, from another machine, without a network, and for every command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from tests.cli.commands import run
from tests.remote.store import s3_server
from tests.study.small_study import small_study

import thriftune
from thriftune.errors import InputError
from thriftune.remote import objects
from thriftune.remote.copy import opened
from thriftune.remote.objects import Objects, UnreachableError
from thriftune.study.events import Event, Notice, RunFinished, RunStarted
from thriftune.study.file.config import Study, study_to_yaml

URL = "memory://bucket/results"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "one"))
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.setattr(objects, "WAITS", ())
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield
    memory.store.clear()


def study(folder: Path) -> Study:
    return small_study(folder, methods=["majority", "tfidf"], models=None, protocol=None)


def compare(folder: Path, url: str = URL) -> tuple[thriftune.Results, list[Event]]:
    events: list[Event] = []
    return thriftune.compare(study(folder), url, events.append, isolate=False), events


def started(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, RunStarted)]


def said(events: list[Event]) -> str:
    return "\n".join(event.text for event in events if isinstance(event, Notice))


def there(url: str = URL) -> set[str]:
    return {name for name in Objects(url).sizes() if not name.startswith(".thriftune")}


@pytest.mark.slow
def test_every_command_takes_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results, events = compare(tmp_path)
    assert f"Pushed to {URL}: " in said(events)
    names = there()
    assert {"results.json", "report.html", "study.yaml", "best/best.json", "test.parquet"} <= names
    assert sum(name.endswith("/run.json") for name in names) == 2
    assert not any("lock" in name for name in Objects(URL).sizes())

    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
    again, events = compare(tmp_path)
    assert started(events) == []
    assert [run.test for run in again.runs] == [run.test for run in results.runs]

    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "three"))
    listed = run("runs", URL)
    assert (listed.exit_code, "tfidf" in listed.stdout) == (0, True), listed.output
    assert thriftune.load_results(URL).runs[0].name == "majority"
    assert run("recommend", URL).exit_code == 0
    stands = run("status", URL)
    assert (stands.exit_code, f"in {URL}: 2 runs, 2 done" in stands.stdout) == (0, True), stands.output
    labelled = tmp_path / "labelled.csv"
    predicted = run("predict", f"{URL}:tfidf", str(tmp_path / "pairs.csv"), "--out", str(labelled))
    assert predicted.exit_code == 0, predicted.output
    assert "predicted" in labelled.read_text().splitlines()[0]
    scored = run("evaluate", URL, str(tmp_path / "pairs.csv"), "--name", "again")
    assert scored.exit_code == 0, scored.output
    assert "evaluations/again.json" in there()
    promoted = run("promote", URL, "majority")
    assert promoted.exit_code == 0, promoted.output
    assert f"`thriftune predict {URL}` takes it" in promoted.stdout
    written = Objects(URL).version()
    reported = run("report", URL)
    assert reported.exit_code == 0, reported.output
    assert f"Report: {URL}/report.html (here: " in reported.stdout
    assert written is not None
    refitted = run("refit", URL, "tfidf")
    assert refitted.exit_code == 0, refitted.output
    assert any(name.startswith("refit/") and name.endswith("refit.json") for name in there())

    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "four"))
    assert '"promoted": true' in run("runs", URL, "--json").stdout
    assert run("predict", f"{URL}:refit", str(tmp_path / "pairs.csv"), "--out", str(labelled)).exit_code == 0
    goes_on, events = thriftune.compare(URL, isolate=False, listener=(found := []).append), found
    assert started(events) == []
    assert len(goes_on.runs) == 2


def test_without_a_network_it_goes_on_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, lost = Objects.put, [False]

    def broken(self: Objects, local: Path, name: str) -> None:
        if lost[0]:
            raise UnreachableError(f"{self.name} cannot be written to: no network.")
        put(self, local, name)

    monkeypatch.setattr(Objects, "put", broken)
    events: list[Event] = []

    def listen(event: Event) -> None:
        events.append(event)
        lost[0] = lost[0] or isinstance(event, RunFinished)

    results = thriftune.compare(study(tmp_path), URL, listen, isolate=False)
    assert [run.status for run in results.runs] == ["done", "done"]
    assert "Not pushed: memory://bucket/results cannot be written to: no network." in said(events)
    assert f"thriftune report {URL}" in said(events)
    assert "report.html" not in there()

    lost[0] = False
    pushed = run("report", URL)
    assert pushed.exit_code == 0, pushed.output
    assert sum(name.endswith("/run.json") for name in there()) == 2
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
    _, events = compare(tmp_path)
    assert started(events) == []


def test_an_interrupted_study_is_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listen(event: Event) -> None:
        if isinstance(event, RunStarted) and event.name == "tfidf":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        thriftune.compare(study(tmp_path), URL, listen, isolate=False)
    assert sum(name.endswith("/run.json") for name in there()) == 1
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
    _, events = compare(tmp_path)
    assert started(events) == ["tfidf"]


@pytest.mark.slow
def test_a_run_that_was_altered_there_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compare(tmp_path)
    name = next(name for name in there() if name.startswith("runs/tfidf") and name.endswith("test.parquet"))
    fsspec.filesystem("memory").pipe_file(f"/bucket/results/{name}", b"0" * Objects(URL).sizes()[name])
    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "two"))
    _, events = compare(tmp_path)
    assert started(events) == ["tfidf"]
    assert f"{URL}/{name} is not what was pushed there" in said(events)


def test_nothing_is_trained_where_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Objects, name: str, data: bytes, mode: str) -> None:
        raise PermissionError("Access Denied")

    monkeypatch.setattr(Objects, "_piped", refused)
    with pytest.raises(InputError, match=r"credentials do not allow it.*AWS_ACCESS_KEY_ID"):
        compare(tmp_path)


def test_data_elsewhere(tmp_path: Path) -> None:
    made = study(tmp_path)
    fsspec.filesystem("memory").put(str(tmp_path / "pairs.csv"), "/data/pairs.csv")
    file = tmp_path / "study.yaml"
    file.write_text(study_to_yaml(made).replace("source: pairs.csv", "source: memory://data/pairs.csv"))
    events: list[Event] = []
    results = thriftune.compare(file, tmp_path / "out", events.append, isolate=False)
    assert [run.status for run in results.runs] == ["done", "done"]
    assert "source: memory://data/pairs.csv" in (tmp_path / "out" / "study.yaml").read_text()


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    results, _ = compare(tmp_path, f"file://{tmp_path}/out")
    assert results.path == tmp_path / "out"
    assert run("runs", f"file://{tmp_path}/out").exit_code == 0


KILLED = """
import os, signal, sys
from pathlib import Path
from thriftune.remote.objects import Objects
from thriftune.remote.output import output

put, left = Objects.put, [int(sys.argv[2])]

def deadly(self, local, name):
    if left[0] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left[0] -= 1
    put(self, local, name)

Objects.put = deadly
with output(sys.argv[1], print) as out:
    for name in ("runs/a-seed0-12345678/model/w", "runs/a-seed0-12345678/run.json", "results.json"):
        (out.path / name).parent.mkdir(parents=True, exist_ok=True)
        (out.path / name).write_text(name)
    out.push()
"""


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 1, 2])
def test_killed_while_it_pushes(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = dict.fromkeys(["runs/a-seed0-12345678/model/w", "runs/a-seed0-12345678/run.json", "results.json"])
    with s3_server() as settings:
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
        fsspec.filesystem("s3").clear_instance_cache()
        url = f"s3://bucket/killed-{at}"
        command = [sys.executable, "-c", KILLED, url]
        died = subprocess.run([*command, str(at)], capture_output=True, check=False)
        assert died.returncode == -signal.SIGKILL, died.stderr
        assert there(url) == set(list(names)[:at])
        assert Objects(url).exists(".thriftune/lock.json")
        environment = {**os.environ, "THRIFTUNE_CACHE": str(tmp_path / "two")}
        went_on = subprocess.run([*command, "9"], capture_output=True, check=False, env=environment)
        assert went_on.returncode == 0, went_on.stderr
        assert there(url) == set(names)


@pytest.mark.slow
def test_a_study_on_s3_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = study(tmp_path)
    (tmp_path / "study.yaml").write_text(study_to_yaml(made))
    command = [sys.executable, "-m", "thriftune"]

    def call(machine: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "THRIFTUNE_CACHE": str(tmp_path / machine)}
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )

    with s3_server() as settings:
        for key, value in settings.items():
            monkeypatch.setenv(key, value)
        first = call("one", "compare", "study.yaml", "--out", "s3://bucket/deep/results")
        assert first.returncode == 0, first.stderr
        assert "Pushed to s3://bucket/deep/results: " in first.stdout
        assert "thriftune predict s3://bucket/deep/results FILE" in first.stdout
        second = call("two", "compare", "s3://bucket/deep/results")
        assert second.returncode == 0, second.stderr
        assert "2 runs, 2 of them done before" in second.stderr
        listed = call("three", "runs", "s3://bucket/deep/results")
        assert (listed.returncode, "tfidf" in listed.stdout) == (0, True), listed.stderr
        wrong = call("one", "compare", "study.yaml", "--out", "s3://nobucket/results")
        assert wrong.returncode == 2
        assert "bucket does not exist" in wrong.stderr
        assert "started" not in wrong.stderr
        assert opened("s3://bucket/deep/results").url == "s3://bucket/deep/results"
