"""A study that is killed five times, at random moments, and started again ends as if it had been let alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import study_kills

ROOT = Path(__file__).parents[2]
SEED = 214
"""Three times the run's process is killed, once the study's, once both."""
METHODS = ["majority", *study_kills.METHODS[:1], *study_kills.METHODS[2:]]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for processes as Linux has them")
def test_five_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{':'.join(['', *sys.path[1:]])}")
    program = (sys.executable, "-m", "tests.study.killed")
    outcome = study_kills.kill_studies(
        5, tmp_path, "0.1s", epochs=2, seed=SEED, program=program, methods=METHODS, waits=(0.1, 0.7)
    )
    assert not outcome.wrong
    assert outcome.count == 5
    assert outcome.studies >= 1
