"""Studies whose runs several processes train: as one process makes them, and what happens when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.study.small_study import small_study

from thriftune.results.store import Results
from thriftune.study.events import Event, RunProgress
from thriftune.study.execute import compare
from thriftune.study.file.config import study_to_yaml

METHODS: list[Any] = [
    {"top_layers": {"layers": 1, "learning_rate": 0.003}},
    {"lora": {"learning_rate": [0.01, 0.02]}},
    {"peft": {"type": "ADALORA"}},
    "embeddings",
]
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def children(pid: int) -> list[int]:
    """The processes that one has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def helpers() -> list[int]:
    """The processes that help this one's run: children of a child of the fork server."""
    return [each for server in children(os.getpid()) for run in children(server) for each in children(run)]


def same(one: Results, other: Results) -> None:
    for a, b in zip(one.runs, other.runs, strict=True):
        assert a.status == b.status == "done", (a.message, b.message)
        assert a.run_id == b.run_id
        assert a.learning_rate == b.learning_rate
        assert a.test is not None
        assert b.test is not None
        assert a.test.accuracy == b.test.accuracy
        np.testing.assert_allclose(a.test.loss, b.test.loss, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("isolate", [True, False])
def test_two_processes_make_the_study_of_one(isolate: bool, tmp_path: Path) -> None:
    methods = METHODS if isolate else METHODS[:1]
    study = small_study(tmp_path, methods=methods)
    alone = compare(study, tmp_path / "alone", isolate=False)
    both = compare(study, tmp_path / "both", isolate=isolate, processes=2)
    same(both, alone)
    for run in both.runs[:3]:
        assert run.cost is not None
        assert run.cost.processes == 2
        assert run.cost.all_memory_bytes is not None
        assert run.cost.peak_memory_bytes is not None
        assert run.cost.all_memory_bytes > run.cost.peak_memory_bytes
        assert any("2 processes trained together" in note for note in run.notes)
        assert run.predicted is None
    assert not helpers()
    assert compare(study, tmp_path / "both").runs == both.runs, "one process has nothing to make anew"


@LINUX
@pytest.mark.slow
def test_a_process_that_dies_fails_its_run_alone(tmp_path: Path) -> None:
    protocol = {"epochs": 3000, "batch_size": 16, "max_tokens": 32, "device": "cpu"}
    study = small_study(tmp_path, methods=[{"full": {"learning_rate": 0.003}}, "majority"], protocol=protocol)
    killed: list[int] = []

    def listen(event: Event) -> None:
        if isinstance(event, RunProgress) and event.stage == "training" and event.step and not killed:
            killed.extend(helpers())
            os.kill(killed[0], signal.SIGKILL)

    started = time.monotonic()
    found = {run.method["name"]: run for run in compare(study, tmp_path / "out", listen, processes=2).runs}
    failed, done = found["full"], found["majority"]
    assert time.monotonic() - started < 200
    assert len(killed) == 1
    assert failed.status == "failed"
    assert failed.message is not None
    assert "process 2 of the 2 that train together ended: its process broke off (signal 9)" in failed.message
    assert done.status == "done"
    assert not helpers()


@LINUX
@pytest.mark.slow
def test_torchrun_serves_a_study(tmp_path: Path) -> None:
    study = small_study(tmp_path, methods=METHODS[:2])
    file = tmp_path / "study.yaml"
    file.write_text(study_to_yaml(study, tmp_path))
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "thriftune",
    ]
    asked = [*command, "compare", str(file), "--out", str(tmp_path / "both")]
    done = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    alone = compare(study, tmp_path / "alone", isolate=False)
    from thriftune.results.store import Store

    both = Store(tmp_path / "both").load()
    same(both, alone)
    assert all(run.cost is not None and run.cost.processes == 2 for run in both.runs)
    assert done.stderr.count("2 runs") + done.stdout.count("2 runs") == 1, "one process alone speaks"
