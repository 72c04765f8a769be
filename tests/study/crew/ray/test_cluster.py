"""Studies on real clusters of two nodes on this machine: a node killed in their midst, results as without Ray."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.search.searched import RATES, cells, untimed
from tests.study.small_study import small_study

from thriftune.errors import InputError
from thriftune.results.store import Results
from thriftune.study import execute
from thriftune.study.crew.ray.settings import RaySettings
from thriftune.study.events import Event, Notice, RunProgress, RunStarted
from thriftune.study.file.config import Study, study_to_yaml

pytestmark = pytest.mark.slow

STORE_BYTES = 80_000_000
METHODS: list[Any] = ["tfidf", {"head_only": {"learning_rate": 0.01}}, {"lora": {"learning_rate": 0.01}}, "full"]
AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")
SETTLED = ("log.txt", "history.jsonl")
"""Files of a run that are not the same bytes twice: they hold seconds."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Two nodes of one processor each; Ray's sockets need a short path."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    utils = pytest.importorskip("ray.cluster_utils")
    head = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    found = utils.Cluster(initialize_head=True, head_node_args=head)
    found.add_node(num_cpus=1, object_store_memory=STORE_BYTES)
    try:
        yield found
    finally:
        found.shutdown()


def settings(cluster: Any, **further: Any) -> RaySettings:
    return RaySettings(cluster.address, 1, **further)


def check_equal(found: Results, expected: Results) -> None:
    """All of what runs leave but for seconds is the same, to the bit."""
    assert [run.status for run in found.runs] == ["done"] * len(expected.runs)
    for run, other in zip(found.runs, expected.runs, strict=True):
        assert (run.run_id, run.test, run.validation, run.learning_rate) == (
            other.run_id,
            other.test,
            other.validation,
            other.learning_rate,
        )
        assert run.files.keys() == other.files.keys()
        differing = [name for name in run.files if run.files[name]["sha256"] != other.files[name]["sha256"]]
        assert set(differing) <= set(SETTLED), run.name


def test_a_node_is_killed(cluster: Any, tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=METHODS, protocol={**small_protocol(), "epochs": 40})
    events: list[Event] = []
    doomed = next(iter(cluster.worker_nodes))
    alive = [True]

    def listen(event: Event) -> None:
        events.append(event)
        under_way = {each.name for each in events if isinstance(each, RunProgress)}
        if alive and len(under_way) > 1:
            alive.clear()
            cluster.remove_node(doomed, allow_graceful=False)

    found = execute.compare(study, tmp_path / "cluster", listen, ray=settings(cluster))
    assert not alive, "the node was killed"
    assert any(isinstance(event, Notice) and "started again (1 of 3" in event.text for event in events)
    started = [event.name for event in events if isinstance(event, RunStarted)]
    assert sorted(started) == sorted(run.name for run in found.runs), "a run that is started again is one run"
    check_equal(found, execute.compare(study, tmp_path / "alone"))
    assert not (tmp_path / "cluster" / ".work").exists()


def test_searches(cluster: Any, tmp_path: Path) -> None:
    methods = [{"head_only": {"learning_rate": 0.01}}, {"lora": {"learning_rate": 0.01}}]
    study = small_study(tmp_path, methods=methods, search={"trials": 3, "over": RATES})
    found = execute.compare(study, tmp_path / "cluster", ray=settings(cluster))
    expected = execute.compare(study, tmp_path / "alone")
    check_equal(found, expected)
    assert made(found) == made(expected)
    assert not found.store.search_parts_path.exists()
    found.store.search_path.unlink()
    events: list[Event] = []
    again = execute.compare(study, tmp_path / "cluster", events.append)
    assert made(again) == made(expected), "search.db holds what the nodes tried"
    assert not any(isinstance(event, RunStarted) for event in events)


def test_what_nodes_cannot_do(cluster: Any, tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=["majority", "full"])
    found = execute.compare(study, tmp_path / "large", ray=RaySettings(cluster.address, 2, wait_seconds=1))
    assert [run.status for run in found.runs] == ["failed", "failed"]
    assert all("needs 2 processors" in str(run.message) for run in found.runs)
    gpu = small_study(tmp_path, protocol={**small_protocol(), "device": "cuda"})
    found = execute.compare(gpu, tmp_path / "gpu", ray=settings(cluster, wait_seconds=0))
    assert "needs 1 processor, 1 GPU" in str(found.runs[0].message)
    with pytest.raises(InputError, match="cannot be used"):
        execute.compare(study, tmp_path / "nowhere", ray=RaySettings("127.0.0.1:1"))
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_study_is_ended(number: signal.Signals, tmp_path: Path) -> None:
    """No process is left, however it ends; but for a kill nothing else either."""
    pytest.importorskip("ray")
    study = small_study(tmp_path, methods=["full"], protocol={**small_protocol(), "epochs": 5000})
    write_study(study, tmp_path)
    command = [sys.executable, "-m", "thriftune", "compare", "study.yaml", "--out", "out", "--ray", "local"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(each for each in sys.path if each), "TMPDIR": "/tmp"}
    leader = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    assert leader.stderr is not None
    said = []
    for line in leader.stderr:
        said.append(line)
        if "epoch" in line:
            break
    assert "epoch" in said[-1], "".join(said)
    assert descendants(tmp_path)
    leader.send_signal(number)
    leader.stderr.read()
    assert leader.wait() == (-9 if number == signal.SIGKILL else 128 + number)
    deadline = time.monotonic() + 60
    while descendants(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not descendants(tmp_path)


def descendants(folder: Path) -> list[int]:
    """Processes that work in this folder, or below it; without the two of Ray that outlive its others by a minute."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            here = process.joinpath("cwd").readlink()
            called = process.joinpath("cmdline").read_text()
            ended = process.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            continue
        if here.is_relative_to(folder) and not ended and not called.startswith(AGENTS):
            found.append(int(process.name))
    return found


def small_protocol() -> dict[str, Any]:
    return {"batch_size": 16, "max_tokens": 32, "device": "cpu", "epochs": 2}


def write_study(study: Study, folder: Path) -> None:
    (folder / "study.yaml").write_text(study_to_yaml(study, folder), encoding="utf-8")


def made(results: Results) -> list[list[dict[str, Any]]]:
    """What was tried and what it scored, cell by cell."""
    return [untimed(cell.trials) for cell in cells(results)]
