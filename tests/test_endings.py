"""Real processes and real signals: nothing is left half, and no process outlives its study."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.study.small_study import small_study

from thriftune.endings import flush_or_drop, from_unread, interruptible, starting
from thriftune.results.store import Store
from thriftune.study.file.config import study_to_yaml

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@contextmanager
def started(*command: str, prefix: tuple[str, ...] = ()) -> Iterator[Any]:
    """A program in a process group of its own, without the variables by which a user decides how threads wait."""
    variables = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": variables}
    with subprocess.Popen([*prefix, sys.executable, *command], cwd=ROOT, start_new_session=True, **pipes) as program:
        try:
            yield program
        finally:
            if program.poll() is None:
                program.kill()


def gone(pids: list[int], seconds: float = 10.0) -> bool:
    """Whether all processes have ended, or end soon."""
    for _ in range(round(seconds / 0.05)):
        alive = [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
        if not alive:
            return True
        time.sleep(0.05)
    return False


def once(program: Any, number: int) -> None:
    program.send_signal(number)


def twice(program: Any, number: int) -> None:
    program.send_signal(number)
    time.sleep(0.15)
    program.send_signal(number)


def group(program: Any, number: int) -> None:
    os.killpg(program.pid, number)


@pytest.fixture(autouse=True)
def hangups_are_told() -> Iterator[None]:
    """`nohup pytest` ignores SIGHUP, and what it starts would too."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("how", "number", "kind"),
    [
        (once, signal.SIGTERM, "spawned"),
        (once, signal.SIGHUP, "spawned"),
        (twice, signal.SIGINT, "forked"),
        (group, signal.SIGTERM, "forked"),
        (group, signal.SIGHUP, "forked"),
    ],
)
def test_a_signal_ends_the_run_and_tidies_up(
    tmp_path: Path, how: Callable[[Any, int], None], number: int, kind: str
) -> None:
    with started("-m", "tests.ending", str(tmp_path), kind) as program:
        pid, spins = program.stdout.readline().split()
        assert spins == "2000"
        how(program, number)
        _, errors = program.communicate(timeout=30)
    assert (program.returncode, errors) == (128 + number, "")
    assert [path.name for path in tmp_path.iterdir()] == ["tidied"]
    assert gone([int(pid)])


@pytest.mark.parametrize("kind", ["spawned", "forked"])
def test_no_process_outlives_its_parent_even_if_that_is_killed(tmp_path: Path, kind: str) -> None:
    with started("-m", "tests.ending", str(tmp_path), kind) as program:
        pid = int(program.stdout.readline().split()[0])
        others = [child.pid for child in psutil.Process(program.pid).children(recursive=True)]
        assert pid in others
        program.kill()
        assert gone(others)


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    """As under nohup."""
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    with started("-m", "tests.ending", str(tmp_path), prefix=(sys.executable, "-c", ignoring)) as program:
        program.stdout.readline()
        group(program, signal.SIGHUP)
        time.sleep(0.2)
        assert program.poll() is None
        once(program, signal.SIGTERM)
        program.communicate(timeout=30)
    assert program.returncode == 143


def test_an_interrupt_waits_until_a_process_is_started() -> None:
    order = []

    def start() -> None:
        with interruptible():
            with starting():
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
                order.append("started")
            order.append("never")

    with pytest.raises(KeyboardInterrupt):
        start()
    assert order == ["started"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_the_programs_own_stays() -> None:
    seen = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_who_does_not_read() -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream:
        error = BrokenPipeError(32, "Broken pipe")
        assert not from_unread(error, stream)
        os.close(read)
        assert from_unread(error, stream)
        assert not from_unread(OSError(28, "No space left on device"), stream)
        stream.write("to nobody")
        flush_or_drop(stream)


def test_a_listing_that_is_cut_off_ends_quietly() -> None:
    with started("-m", "thriftune", "methods") as program:
        program.stdout.close()
        assert program.stderr.read() == ""
    assert program.returncode == 0


@pytest.fixture(scope="module")
def long_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is done at once, and one that takes minutes."""
    folder = tmp_path_factory.mktemp("long")
    protocol = {"epochs": 3000, "batch_size": 16, "max_tokens": 32, "device": "cpu"}
    study = small_study(folder, methods=["majority", "full"], protocol=protocol)
    path = folder / "study.yaml"
    path.write_text(study_to_yaml(study, folder), encoding="utf-8")
    return path


def trained(program: Any) -> list[int]:
    """Waits until the second run trains; the processes that there are then."""
    for line in program.stderr:
        if "epoch 1/" in line:
            return [child.pid for child in psutil.Process(program.pid).children(recursive=True)]
    raise AssertionError("it never trained")


@pytest.mark.slow
def test_a_study_that_is_killed_leaves_no_process_and_resumes(long_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with started("-m", "thriftune", "compare", str(long_study), "--out", str(out)) as program:
        pids = trained(program)
        assert len(pids) >= 3, "resource tracker, fork server, run"
        program.kill()
        assert gone(pids)
    with started("-m", "thriftune", "compare", str(long_study), "--out", str(out)) as program:
        trained(program)
        once(program, signal.SIGTERM)
        _, errors = program.communicate(timeout=60)
    assert program.returncode == 143
    assert errors.splitlines()[-1].startswith("Interrupted. What is done is kept")
    results = Store(out).load()
    assert [run.status for run in results.runs] == ["done", "interrupted"]
    done = results.store.run(results.runs[0].run_id).path
    left = [path.name for folder in (out / "runs").iterdir() if folder != done for path in folder.iterdir()]
    assert sorted(left) in ([], ["checkpoint", "log.txt"]), "what it can go on from"
    assert not (out / ".work").exists()
    assert not (out / ".lock").exists()


@pytest.mark.slow
def test_nobody_follows_the_study(long_study: Path, tmp_path: Path) -> None:
    with started("-m", "thriftune", "compare", str(long_study), "--out", str(tmp_path / "out")) as program:
        pids = trained(program)
        program.stderr.close()
        assert program.stdout.read() == ""
    assert program.returncode == 129
    assert gone(pids)
    assert [run.status for run in Store(tmp_path / "out").load().runs] == ["done", "interrupted"]
