"""Every row starts in an empty folder with a sound data file, and trains nothing even where it is let through."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.bad_inputs.refusal import ROWS


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("reviews.csv").write_text(ROWS, encoding="utf-8")


@pytest.fixture(autouse=True)
def _no_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def accepted(*arguments: Any) -> Any:
        raise AssertionError("this input was accepted")

    monkeypatch.setattr("thriftune.study.execute.run_in_process", accepted)
    for place in ("execute", "start"):
        monkeypatch.setattr(f"thriftune.study.{place}.warm_up", lambda: None)


@pytest.fixture
def pipe() -> Path:
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    os.mkfifo("pipe")
    return Path("pipe")
