"""`thriftune compare`: exit codes, messages, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.commands import run

from thriftune.errors import InputError


class TestCompare:
    def test_all_done(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed("done")
        result = run("compare")
        assert result.exit_code == 0
        for part in (
            "full",
            "Take full: 80.0%.\n",
            "Next (about 2 min): thriftune compare x --set epochs=6\n",
            "Report: results-snli-demo/report.html",
        ):
            assert part in result.stdout
        assert "better than" not in result.stdout
        assert "\x1b" not in result.output
        assert "1 run" in result.stderr

    def test_verbose_says_the_rest(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed("done")
        result = run("compare", "--verbose")
        for part in (
            "80.0%",
            "Still improving: full; 6 epochs would tell:\n  thriftune compare x\n",
            "Verdicts:\nfull is better than lora.\n",
            "Take full",
        ):
            assert part in result.stdout
        assert result.stdout.rstrip().splitlines()[-1].startswith("Report: ")

    @pytest.mark.parametrize("status", ["failed", "out_of_memory", "diverged"])
    def test_a_failed_run(self, here: Path, executed: Callable[[Any], None], status: str) -> None:
        executed(status)
        result = run("compare", "--out", "x")
        assert result.exit_code == 1
        assert f"full: {status.replace('_', ' ')}. why" in result.stderr
        assert "Report:" in result.stdout

    def test_interrupted(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed(KeyboardInterrupt())
        result = run("compare")
        assert result.exit_code == 130
        assert "the same command resumes" in result.stderr

    def test_wrong_input_later(self, here: Path, executed: Callable[[Any], None]) -> None:
        executed(InputError("no such column"))
        result = run("compare")
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (2, "Error: no such column")

    def test_wrong_study(self, here: Path) -> None:
        result = run("compare", "--set", "protocol.epoch=1")
        assert result.exit_code == 2
        assert 'did you mean "epochs"?' in result.stderr
        assert "Traceback" not in result.output
        assert result.stdout == ""
        assert [path.name for path in here.iterdir()] == ["reviews.csv"]

    def test_missing_study(self, here: Path) -> None:
        result = run("compare", "nothing.yaml")
        assert result.exit_code == 2
        assert "There is no study file nothing.yaml" in result.stderr

    def test_a_folder_that_is_something_else(self, here: Path) -> None:
        (here / "photos").mkdir()
        (here / "photos" / "cat.jpg").touch()
        result = run("compare", "--out", "photos")
        assert result.exit_code == 2
        assert "photos" in result.stderr
        assert [path.name for path in (here / "photos").iterdir()] == ["cat.jpg"]


def test_checkpoints_come_as_often_as_is_asked(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[Any] = []
    monkeypatch.setattr("thriftune.cli.compare.run_study", lambda study, *_, **__: found.append(study.protocol))
    for words, every in (([], 60.0), (["--checkpoint-every", "2min"], 120.0), (["--checkpoint-every", "off"], None)):
        assert run("compare", *words).exit_code == 0
        assert found[-1].checkpoint_seconds == every
    result = run("compare", "--checkpoint-every", "often")
    assert result.exit_code == 2
    assert "protocol.checkpoint_every" in result.stderr
    assert "Or off." in result.stderr
