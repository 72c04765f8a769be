"""How the page is parted: what of a panel stands open, and what its fold says."""

from __future__ import annotations

from typing import Any

import pytest

from thriftune.analysis.analyse import Section
from thriftune.analysis.display.panel import Chart, Panel, Table
from thriftune.report.section import evidence, folded_words, questions


def table(name: str, small: bool = False) -> Table:
    return Table(name, "", [], [], small)


def chart(name: str, small: bool = False) -> Chart:
    return Chart(name, "", "", {}, small)


@pytest.mark.parametrize(
    ("panel", "tables", "charts", "words"),
    [
        ({"tables": ["t", "u"], "charts": ["c"]}, ["t"], [], "1 more table and 1 more chart"),
        ({"tables": ["t"], "charts": ["c", "d"], "open_charts": 1}, [], ["c"], "1 more table and 1 more chart"),
        ({"tables": [], "charts": ["c.", "d.", "e."], "open_charts": 2}, [], ["c.", "d."], "1 more chart"),
        ({"tables": ["t."], "charts": ["c"]}, [], ["c"], "1 more table"),
        ({"tables": ["t.", "u."], "charts": ["c."]}, ["t.", "u."], [], "1 more chart"),
        ({"tables": [], "charts": ["c.", "d."]}, [], ["c.", "d."], ""),
        ({"tables": ["t"], "charts": [], "notes": ["Read so."]}, ["t"], [], "How to read this"),
    ],
)  # fmt: skip
def test_one_table_or_chart_stands_open(
    panel: dict[str, Any], tables: list[str], charts: list[str], words: str
) -> None:
    """Names that end in a dot are of small ones, which stand side by side."""
    made = Panel(
        [],
        [table(name, name.endswith(".")) for name in panel["tables"]],
        [chart(name, name.endswith(".")) for name in panel["charts"]],
        panel.get("notes", []),
        open_charts=panel.get("open_charts", 0),
    )
    shown, folded = evidence(made)
    assert ([each.name for each in shown.tables], [each.name for each in shown.charts]) == (tables, charts)
    assert len(folded.tables) == len(panel["tables"]) - len(tables)
    assert len(folded.charts) == len(panel["charts"]) - len(charts)
    assert folded_words(folded, made.notes) == words


def test_the_first_panel_of_a_question_stands_open_and_records_are_folded() -> None:
    names = [("verdicts", "answers"), ("overlap", "errors"), ("labels", "errors"), ("environment", "setup")]
    found = questions([Section(name, group, name, "", Panel([])) for name, group in names])
    assert [(each.group, each.open and each.open.id, [s.id for s in each.folded]) for each in found] == [
        ("answers", "verdicts", []),
        ("errors", "overlap", ["labels"]),
        ("setup", None, ["environment"]),
    ]
    assert all(each.title.endswith("?") and len(each.name) <= 12 for each in found)
