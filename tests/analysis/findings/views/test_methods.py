"""Tables with a row for each method, and matrices."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.synthetic import Variant, write

from thriftune import wording as f
from thriftune.analysis.display.matrices import matrix
from thriftune.analysis.display.panel import Column, Table
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.record import RunRecord

COLUMNS = [Column("run", "Run"), Column("score", "Score", "percent"), Column("n", "N", "int"), Column("said", "Said")]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[RunRecord]:
    """Two methods, the first with two seeds."""
    first = write(tmp_path_factory.mktemp("methods"), Variant(texts=30)).load().runs[0]
    return [replace(first, run_id=n, name=n, cell=n.split()[0]) for n in ("a 0", "a 1", "b 0")]


def table(*rows: dict[str, object]) -> Table:
    return Table("t", "Scores.", COLUMNS, list(rows))


def test_seeds_are_averaged_and_their_range_stands_beside(runs: list[RunRecord]) -> None:
    rows = table(
        {"run": "a 0", "score": 0.5, "n": 1, "said": "plateau", "unranked": False},
        {"run": "a 1", "score": 0.7, "n": 2, "said": "", "unranked": True},
        {"run": "b 0", "score": None, "score_reason": "no test", "n": 4, "said": "plateau"},
    )
    found = by_method(rows, runs, {"score": ("Over seeds", f.percent_range)})
    assert [column.label for column in found.columns] == ["Method", "Seeds", "Score", "Over seeds", "N", "Said"]
    first, second = found.rows
    assert (first["run"], first["seeds"], first["n"], first["unranked"]) == ("a", 2, 2, True)
    assert first["score"] == pytest.approx(0.6)
    assert first["score_spread"] == "50.0–70.0%"
    assert first["said"] == "plateau (1 of 2)"
    assert (second["run"], second["score"], second["score_reason"], second["said"]) == (
        "b 0",
        None,
        "no test",
        "plateau",
    )
    assert found.caption == "Scores. Means over seeds."


def test_one_seed_each_needs_no_further_column(runs: list[RunRecord]) -> None:
    found = by_method(table({"run": "a 0", "score": 0.5}), runs[:1], {"score": ("Over seeds", f.percent_range)})
    assert [column.label for column in found.columns] == ["Method", "Score", "N", "Said"]
    assert found.caption == "Scores."


@pytest.mark.parametrize(("columns", "written"), [(3, True), (40, False)])
def test_a_matrix_writes_its_shares_where_they_fit(columns: int, written: bool, tmp_path: Path) -> None:
    across = [f"m{i}" for i in range(columns)]
    rows = [{"name": "a", "column": name, "share": 0.2, "text": "20%"} for name in across]
    spec = matrix(rows, down=["a"], across=across, tooltip=[])
    assert (len(spec["layer"]) == 2) == written
    assert spec["layer"][0]["encoding"]["color"]["scale"]["domain"] == [0, 0.2], "from nothing to the largest share"
