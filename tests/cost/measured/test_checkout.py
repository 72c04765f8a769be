"""The commit that a record names."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from thriftune.cost.measured.checkout import checkout

NOTHING = {"commit": None, "dirty": None}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not here")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    (tmp_path / "README.md").touch()
    person = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    for arguments in (["init", "-q"], ["add", "."], [*person, "commit", "-qm", "first"]):
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "dirty"), [(None, False), ("README.md", False), ("src/a.py", True), ("src/new.py", True)]
)
def test_a_checkout_has_a_commit_and_may_differ_from_it(repository: Path, changed: str | None, dirty: bool) -> None:
    if changed is not None:
        (repository / changed).write_text("changed")
    found = checkout(repository)
    assert len(found["commit"]) == 40
    assert found["dirty"] is dirty


def test_what_is_no_checkout_has_none(tmp_path: Path) -> None:
    assert checkout(tmp_path) == NOTHING
    (tmp_path / ".git").mkdir()
    assert checkout(tmp_path / "empty") == NOTHING


def test_without_git_nothing_is_known(repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert checkout(repository) == NOTHING
