"""What test processes leave in the temporary folder goes, however they end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from filelock import FileLock
from tests.conftest import sweep

HOLD = """
import sys, time
from pathlib import Path
from filelock import FileLock
lock = FileLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_temporary_files_lie_in_one_folder_of_this_process() -> None:
    room = Path(tempfile.gettempdir())
    assert room.name == str(os.getpid())
    assert room.parent.name.startswith("thriftune-tests-")
    assert os.environ["TMPDIR"] == str(room)


def test_pytest_keeps_its_folders_elsewhere(tmp_path: Path) -> None:
    assert not tmp_path.is_relative_to(tempfile.gettempdir())


def test_what_killed_processes_left_goes(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "1.lock")], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        for name in ("1", "2"):
            (tmp_path / name / "thriftune-tiny-bert").mkdir(parents=True)
        sweep(tmp_path)
        assert (tmp_path / "1").is_dir()
        assert not (tmp_path / "2").exists()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    sweep(tmp_path)
    assert not (tmp_path / "1").exists()
    with FileLock(tmp_path / "1.lock", timeout=0):
        assert list(tmp_path.glob("*/")) == []
