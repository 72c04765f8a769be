"""Compiled kernels: loaded only from what is the user's own and whole, else compiled again."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest

from thriftune.folders import cache_folder, is_private
from thriftune.models.ops.kernels.build import build

module = importlib.import_module("thriftune.models.ops.kernels.build")
pytestmark = pytest.mark.skipif(build().reason is not None, reason="needs the compiled kernels")


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Where libraries were compiled: a stand-in for the compiler, and for loading."""
    made: list[Path] = []

    def compile_(compiler: str, openmp: Path, real: str, path: Path) -> None:
        made.append(path)
        path.write_bytes(b"machine code")
        path.with_suffix(".sha256").write_text(module._checksum(path), encoding="ascii")
        path.chmod(0o600)
        path.with_suffix(".sha256").chmod(0o600)

    monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_compile", compile_)
    monkeypatch.setattr(module.ctypes, "CDLL", lambda path: Path(path).read_bytes())
    return made


def _load() -> object:
    return module._library("cc", Path("libgomp.so"), "float", "key")


def test_it_is_compiled_once(compiled: list[Path], tmp_path: Path) -> None:
    assert _load() == _load() == b"machine code"
    assert compiled == [tmp_path / "cache" / "compiled" / "key.so"]
    assert is_private(tmp_path / "cache" / "compiled")


@pytest.mark.parametrize("content", [b"", b"machine", b"other code"])
def test_a_damaged_library_is_compiled_again(compiled: list[Path], content: bytes) -> None:
    _load()
    compiled[0].write_bytes(content)
    assert _load() == b"machine code"
    assert len(compiled) == 2


@pytest.mark.parametrize("which", ["folder", "file", "checksum"])
def test_what_others_can_write_to_is_not_loaded(compiled: list[Path], which: str) -> None:
    _load()
    path = compiled[0]
    {"folder": path.parent, "file": path, "checksum": path.with_suffix(".sha256")}[which].chmod(0o777)
    path.write_bytes(b"a stranger's code")
    assert _load() == b"machine code"
    assert len(compiled) == 2
    assert (compiled[1].parent == path.parent) == (which != "folder")


def test_a_file_in_the_folders_place(compiled: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in its place")
    assert _load() == b"machine code"
    assert not compiled[0].exists(), "a private folder that is gone again"


def test_a_link_is_not_private(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert not is_private(tmp_path / "link")
    assert not is_private(tmp_path / "nothing")


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="POSIX")
def test_the_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("THRIFTUNE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "thriftune"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "thriftune"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert cache_folder().name == f"thriftune-{os.getuid()}"
    monkeypatch.setenv("THRIFTUNE_CACHE", "here")
    assert cache_folder().is_absolute()
