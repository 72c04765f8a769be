"""`thriftune crossovers`: where lines cross, and what is left for a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.commands import run


@pytest.mark.usefixtures("foreseen")
class TestCrossovers:
    def test_says_where_lines_cross_and_writes_charts(self, here: Path) -> None:
        result = run("crossovers", "--axis", "tokens", "--out", "made")
        assert result.exit_code == 0
        assert "Below about 500 tokens per batch lora needs less memory than top" in " ".join(result.stdout.split())
        assert {path.name for path in (here / "made").iterdir()} == {"crossovers.json", "figures"}
        figures = {path.name for path in (here / "made" / "figures").iterdir()}
        assert figures == {"tokens-memory.svg", "tokens-time.svg"}

    def test_json(self) -> None:
        document = json.loads(run("crossovers", "--json").stdout)
        assert list(document["axes"]) == ["tokens", "depth", "size"]
        assert len(document["axes"]["size"]["points"]) == 4
        assert "BERT-base" in document["setting"]

    def test_the_report_shows_what_was_left_in_its_folder(self, here: Path) -> None:
        from tests.report.synthetic import VARIANTS, write

        from thriftune.analysis.display.panel import NotApplicable, Panel
        from thriftune.analysis.panels.cost.crossovers import build
        from thriftune.results.store import Store

        write(here / "out", VARIANTS["plain"])
        missing = build(Store(here / "out").load())
        assert isinstance(missing, NotApplicable)
        assert "thriftune crossovers --out out" in missing.reason
        assert run("crossovers", "--axis", "tokens", "--out", "out").exit_code == 0
        panel = build(Store(here / "out").load())
        assert isinstance(panel, Panel)
        assert "Below about 500 tokens per batch lora needs less memory than top" in panel.sentences[0]
        assert "BERT-base" in panel.notes[0]
        assert [chart.name for chart in panel.charts] == ["tokens-memory", "tokens-time"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--axis", "weight"], 'axis "weight" is not known. Known: '),
            (["--batch-size", "0"], "batch size given is 0"),
            (["--tokens", "1000"], "positions for 512"),
            (["--device", "h1oo"], "h100"),
            (["--model", "nowhere/nothing/here"], "nowhere"),
        ],
    )
    def test_wrong_input(self, here: Path, options: list[str], message: str) -> None:
        result = run("crossovers", *options)
        assert result.exit_code == 2
        assert message in result.stderr
