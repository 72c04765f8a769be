"""Paths that users name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from thriftune.data.sources import find_path
from thriftune.errors import InputError
from thriftune.paths import check_file, check_folder, check_new_file, check_new_folder, user_path


def test_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert user_path("~/a.csv") == Path("/home/someone/a.csv")
    assert user_path("a[1]*?.csv") == Path("a[1]*?.csv")


def test_what_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for look in (lambda: check_file(path, "a file"), lambda: find_path("a.csv", tmp_path)):
        with pytest.raises(InputError, match=r"a\.csv cannot be read: you have no permission"):
            look()
    with pytest.raises(InputError, match="takes no new files"):
        check_new_file(tmp_path / "b.yaml")


def test_what_may_not_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", denied)
    for check in (lambda: find_path("a.csv", tmp_path), lambda: check_folder(tmp_path, "a folder")):
        with pytest.raises(InputError, match="cannot be looked at: Permission denied"):
            check()


def test_new_folders(tmp_path: Path) -> None:
    check_new_folder(tmp_path)
    check_new_folder(tmp_path / "a" / "b")
    (tmp_path / "link").symlink_to(tmp_path)
    check_new_folder(tmp_path / "link" / "c")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file/below cannot be written to: .*/file is a file"):
        check_new_folder(tmp_path / "file" / "below")
