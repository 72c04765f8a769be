"""Every test process has its own folders for temporary files and caches, and one thread: several share the machine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from multiprocessing.util import Finalize
from pathlib import Path
from tempfile import TemporaryDirectory

import hypothesis
import pytest
from filelock import FileLock, Timeout

os.environ.setdefault("OMP_NUM_THREADS", "1")
hypothesis.settings.register_profile("thriftune", deadline=None)  # no test asserts a time
hypothesis.settings.load_profile("thriftune")


def pytest_configure() -> None:
    """Makes one folder for all that this process and its children leave in the system's temporary folder.

    It goes when the process ends. What killed processes left goes first: their lock is free. pytest's own folders
    (`tmp_path`) stay where they always are, so that a failed test's files can be looked at.
    """
    system = Path(os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir()))
    user = os.getuid() if hasattr(os, "getuid") else "user"
    rooms = system / f"thriftune-tests-{user}"
    rooms.mkdir(mode=0o700, exist_ok=True)
    sweep(rooms)
    lock = FileLock(rooms / f"{os.getpid()}.lock")
    lock.acquire()
    room = rooms / str(os.getpid())
    room.mkdir(exist_ok=True)
    # After multiprocessing has removed its own folder in it (-100); forked children leave it alone.
    Finalize(None, leave, args=(room, lock), exitpriority=-200)
    os.environ["TMPDIR"] = str(room)
    tempfile.tempdir = str(room)


def leave(room: Path, lock: FileLock) -> None:
    shutil.rmtree(room, ignore_errors=True)
    lock.release()
    Path(lock.lock_file).unlink(missing_ok=True)


def sweep(rooms: Path) -> None:
    """Deletes the folders of processes that are gone; those that run hold their lock."""
    for room in rooms.iterdir():
        if room.is_dir():
            try:
                with FileLock(rooms / f"{room.name}.lock", timeout=0):
                    shutil.rmtree(room, ignore_errors=True)
            except Timeout:
                continue
            Path(rooms / f"{room.name}.lock").unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def _predicting_is_not_measured() -> Iterator[None]:
    """Runs in this process leave it out, which takes each of them a second; its own tests give their seconds."""
    from thriftune.cost.measured import predicting

    before, predicting.SECONDS = predicting.SECONDS, 0
    yield
    predicting.SECONDS = before


@pytest.fixture(scope="session", autouse=True)
def _own_cache() -> Iterator[None]:
    with TemporaryDirectory(prefix="thriftune-cache-") as folder:
        before = os.environ.get("THRIFTUNE_CACHE")
        os.environ["THRIFTUNE_CACHE"] = str(Path(folder))
        yield
        if before is None:
            del os.environ["THRIFTUNE_CACHE"]
        else:
            os.environ["THRIFTUNE_CACHE"] = before
