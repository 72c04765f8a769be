"""`thriftune recommend`: limits, ranks, reasons."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.commands import run


@pytest.mark.usefixtures("foreseen")
class TestRecommend:
    def test_ranks_and_says_why(self) -> None:
        result = run("recommend", "results", "--memory", "300MB", "--tasks", "5")
        assert result.exit_code == 0
        for part in ("Take top", "measured", "predicted", "Stored, 5 tasks", "400.0 MB memory", "Not beaten in both"):
            assert part in result.stdout

    def test_latency(self) -> None:
        result = run("recommend", "results", "--latency", "1ms")
        assert result.exit_code == 0
        assert "With --latency 5ms something does" in " ".join(result.stdout.split())
        fits = run("recommend", "results", "--latency", "20ms").stdout
        assert "labels one text in 5.00 ms" in " ".join(fits.split())
        document = json.loads(run("recommend", "results", "--latency", "1ms", "--json").stdout)
        assert document["limits"]["latency_seconds"] == 0.001
        assert {cell["candidate"]["latency"] for cell in document["cells"]} == {0.005, None}

    def test_json(self) -> None:
        document = json.loads(run("recommend", "results", "--time", "1min", "--json").stdout)
        assert document["limits"]["seconds"] == 60
        assert [cell["candidate"]["name"] for cell in document["cells"]] == ["top", "lora", "guess"]
        assert [cell["rank"] for cell in document["cells"]] == [1, None, None]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--memory", "8 potatoes"], '"8 potatoes" is no amount of memory'),
            (["--time", "soon"], '"soon" is no amount of time. Give a number and a unit: 90s'),
            (["--time", "0s"], "no amount of time"),
            (["--latency", "20min"], '"20min" is no amount of time for one text'),
            (["--tasks", "0"], "at least one task"),
        ],
    )
    def test_wrong_limits(self, options: list[str], message: str) -> None:
        result = run("recommend", "results", *options)
        assert result.exit_code == 2
        assert message in result.stderr
        assert result.stdout == ""


def test_recommend_from_a_results_folder_and_from_nothing(tmp_path: Path) -> None:
    from tests.report.synthetic import VARIANTS, write

    write(tmp_path / "out", VARIANTS["plain"])
    result = run("recommend", str(tmp_path / "out"), "--memory", "2GB")
    assert result.exit_code == 0
    assert "Take " in result.stdout
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "nothing.yaml"):
        result = run("recommend", str(tmp_path / wrong))
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: ")
