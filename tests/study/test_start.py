"""What runs are forked from is started before the data is read, where there will be runs."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.study.small_study import small_study

from thriftune.results.store import Store
from thriftune.study import start


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Counts what is started."""
    found: list[str] = []
    monkeypatch.setattr(start, "warm_up", lambda: found.append("server"))
    return found


@pytest.mark.parametrize(
    ("methods", "only", "expected"),
    [
        (["majority", "head_only"], (), ["server"]),
        (["majority", "head_only"], ("majority",), []),
        (["majority", "head_only"], ("no such run",), []),
        (["majority"], (), []),
    ],
)
def test_it_starts_early_for_runs_on_a_model(
    methods: list[Any], only: tuple[str, ...], expected: list[str], started: list[str], tmp_path: Path
) -> None:
    without_model = {} if "head_only" in methods else {"models": None, "protocol": None}
    start.start_early(small_study(tmp_path, methods=methods, **without_model), tmp_path / "out", only)
    assert started == expected


def test_a_study_that_goes_on_is_looked_at_first(started: list[str], tmp_path: Path) -> None:
    Store(tmp_path).results_path.touch()
    start.start_early(small_study(tmp_path, methods=["head_only"]), tmp_path)
    assert not started


def test_nothing_is_looked_through_while_modules_are_imported() -> None:
    with start.importing():
        assert not gc.isenabled()
        with start.importing():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_what_begins_a_study_early_is_light() -> None:
    code = "import sys, thriftune.study.start; sys.exit(bool({'torch', 'transformers', 'polars'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)
