"""The analysis as a step: every panel asked once, every table read once, one result for page, terminal and file."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.report.synthetic import VARIANTS, write
from tests.study.small_study import small_study
from typer.testing import CliRunner

import thriftune
from thriftune import cli
from thriftune.analysis.analyse import analyse
from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.panels import discover
from thriftune.report import render
from thriftune.results import files, run_folder, store
from thriftune.results.store import Store

NAMES = {module.__name__.rsplit(".", 1)[-1] for module in discover()}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], Counter[Path]]:
    """How often each panel is built and each table is read."""
    built: Counter[str] = Counter()
    read: Counter[Path] = Counter()

    def counting(name: str, build: Any) -> Any:
        def wrapped(results: Any) -> Any:
            built[name] += 1
            return build(results)

        return wrapped

    def reading(path: Path, *columns: Any) -> pl.DataFrame:
        read[path] += 1
        return files.read_parquet(path, *columns)

    for module in discover():
        monkeypatch.setattr(module, "build", counting(module.__name__.rsplit(".", 1)[-1], module.build))
    for module in (store, run_folder):
        monkeypatch.setattr(module, "read_parquet", reading)
    return built, read


def test_a_report_builds_every_panel_and_reads_every_table_once(
    tmp_path: Path, counted: tuple[Counter[str], Counter[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_draw", lambda *_: None)
    built, read = counted
    write(tmp_path, replace(VARIANTS["plain"], annotators=True))
    read.clear()
    render.write_report(tmp_path)
    assert built == Counter(dict.fromkeys(NAMES, 1))
    assert read
    assert set(read.values()) == {1}, read
    assert tmp_path / "test.parquet" in read
    assert sum("predictions" in path.parts for path in read) >= 12


def test_a_panel_by_its_name(tmp_path: Path) -> None:
    analysis = analyse(write(tmp_path, VARIANTS["two-labels"]).load())
    assert isinstance(analysis.panel("summary"), Panel)
    missing = analysis.panel("search")
    assert isinstance(missing, NotApplicable)
    assert analysis.statistics["search"] is None
    assert analysis.statistics["search_reason"] == missing.reason
    with pytest.raises(KeyError):
        analysis.panel("nothing")


def test_compare_from_python_leaves_what_the_command_leaves(
    tmp_path: Path, counted: tuple[Counter[str], Counter[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(render, "_draw", lambda *_: None)
    built, _ = counted
    study = small_study(tmp_path, methods=["majority", "tfidf"], models=None, protocol=None)
    results = thriftune.compare(study, tmp_path / "out", isolate=False)
    assert built == Counter(dict.fromkeys(NAMES, 1))
    data = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert data.keys() >= NAMES
    assert results.study == Store(tmp_path / "out").load().study
    assert results.study.statistics["verdicts"] is None
    assert not (tmp_path / "out" / "report.html").exists()

    built.clear()
    done = CliRunner().invoke(
        cli.app, ["compare", str(tmp_path / "out" / "study.yaml"), "--out", str(tmp_path / "out")]
    )
    assert done.exit_code == 0, done.output
    assert built == Counter(dict.fromkeys(NAMES, 1)), "page, terminal and results.json share one analysis"
    again = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert again | {"study": data["study"]} == data, "but for the paths in the study file"
