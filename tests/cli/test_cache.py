"""`thriftune cache`: what is kept, and its end."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from tests.cli.commands import run


class TestCache:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("THRIFTUNE_CACHE", str(tmp_path / "kept"))
        return tmp_path / "kept" / "prefixes"

    def fill(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "a.npy").write_bytes(b"x" * 2_000_000)
        (folder / "b.npy").write_bytes(b"x" * 1000)
        note = {"model": "demo:minilm", "layer": 4, "texts": 3000, "tokens": 90_000, "seconds": 12.5}
        (folder / "a.json").write_text(json.dumps(note), encoding="utf-8")
        os.utime(folder / "a.npy", (time.time() - 7200, time.time() - 7200))

    def test_empty(self, folder: Path) -> None:
        for arguments in ([], ["--clear"]):
            result = run("cache", *arguments)
            assert result.exit_code == 0
            assert f"No outputs of frozen layers are kept in {folder} (at most 20.0 GB)." in result.stdout
        assert json.loads(run("cache", "--json").stdout)["entries"] == []

    def test_shows_what_is_there(self, folder: Path) -> None:
        self.fill(folder)
        result = run("cache")
        assert result.exit_code == 0
        line = next(line for line in result.stdout.splitlines() if "a.npy" in line)
        for part in ("demo:minilm", "4", "3,000", "90,000", "2.00 MB", "2 hours ago", "12.5 s"):
            assert part in line
        assert "unknown" in next(line for line in result.stdout.splitlines() if "b.npy" in line)
        assert f"2 files, 2.00 MB of at most 20.0 GB, in {folder}" in result.stdout

    def test_json(self, folder: Path) -> None:
        self.fill(folder)
        found = json.loads(run("cache", "--json").stdout)
        assert (found["total_bytes"], found["limit_bytes"], found["folder"]) == (2_001_000, 20_000_000_000, str(folder))
        newest, oldest = found["entries"]
        assert (newest["file"], newest["model"]) == ("b.npy", None)
        assert (oldest["model"], oldest["layer"], oldest["tokens"]) == ("demo:minilm", 4, 90_000)
        assert oldest["age_seconds"] > 7000

    def test_clear(self, folder: Path) -> None:
        self.fill(folder)
        assert f"Deleted 2 files (2.00 MB) from {folder}." in run("cache", "--clear").stdout
        assert list(folder.iterdir()) == []
