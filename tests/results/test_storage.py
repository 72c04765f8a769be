"""Disks that are full or not to be written to: one clear error, nothing half-written; what died writers left goes."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from thriftune.errors import InputError
from thriftune.results.files import write_json, write_text
from thriftune.results.storage.errors import UnwritableError, unwritable
from thriftune.results.storage.temporary import is_temporary, sweep, temporary_beside


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("mounting is not permitted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_is_one_error_and_leaves_what_was_there(small_disk: Path) -> None:
    path = small_disk / "results.json"
    write_json(path, {"a": 1})
    before = path.read_bytes()
    with pytest.raises(UnwritableError) as found:
        write_text(path, "x" * 2_000_000)
    message = str(found.value)
    assert message.startswith(f"{path} cannot be written: no space left on device (about 2")
    assert "MB needed, 1" in message
    assert f"MB free on {small_disk})" in message
    assert "run the same command again: what is done is kept" in message
    assert isinstance(found.value, InputError)
    assert isinstance(found.value, OSError)
    assert found.value.errno == errno.ENOSPC
    assert {each.name: each.read_bytes() for each in small_disk.iterdir()} == {"results.json": before}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM])
def test_what_no_file_could_be_written_for_is_said(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuses)
    with pytest.raises(UnwritableError, match=rf"run\.json cannot be written: {os.strerror(number).lower()}"):
        write_json(tmp_path / "run.json", {})
    assert list(tmp_path.iterdir()) == []


def test_other_errors_and_those_of_reading_are_none(tmp_path: Path) -> None:
    assert unwritable(OSError(errno.EIO, "I/O error"), tmp_path) is None
    assert unwritable(PermissionError(errno.EACCES, "Permission denied", "/etc/shadow"), tmp_path) is None
    assert unwritable(ValueError("no space"), tmp_path) is None
    quoted = unwritable(RuntimeError("I/O error: No space left on device (os error 28)"), tmp_path / "model")
    assert quoted is not None
    assert quoted.startswith(f"{tmp_path / 'model'} cannot be written: no space left on device (")


def test_the_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(UnwritableError("why", errno.ENOSPC)))
    assert str(error) == "why"


def test_temporaries_of_dead_processes_go_and_no_others(tmp_path: Path) -> None:
    write = (
        "import sys; from pathlib import Path; from thriftune.results.storage.temporary import temporary_beside;"
        "print(temporary_beside(Path(sys.argv[1])))"
    )
    (tmp_path / "runs").mkdir()
    command = [sys.executable, "-c", write, str(tmp_path / "runs" / "run.json")]
    dead = Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())
    mine = temporary_beside(tmp_path / "results.json")
    elsewhere = tmp_path / f".run.json.00000000-{2**22 + 1}-abc.tmp"
    own = tmp_path / ".notes.tmp"
    for path in (elsewhere, own):
        path.touch()
    assert dead.exists()
    assert is_temporary(dead)
    assert sweep(tmp_path) == [dead]
    assert {each.name for each in tmp_path.rglob("*") if each.is_file()} == {mine.name, elsewhere.name, own.name}
