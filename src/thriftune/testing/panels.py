"""The contract of a panel: sentences, tables and charts that the page, `results.json` and a spreadsheet can take."""

from __future__ import annotations

import json
import re

from thriftune.analysis.display.panel import Chart, NotApplicable, Panel, Table
from thriftune.analysis.panels import PanelModule, flaw
from thriftune.results.store import Results
from thriftune.testing.check import expect


def check_panel(module: PanelModule, results: Results) -> bool:
    """Builds a panel from a study's results (`thriftune.load_results`) and checks what it gives.

    Returns whether the panel applies to them. Raises `AssertionError` that says what is broken.
    """
    why = flaw(module)
    expect(why is None, f"the panel {why}")
    expect(bool(module.TITLE), "the TITLE is empty")
    expect(module.QUESTION.endswith("?"), f'the QUESTION "{module.QUESTION}" is none')
    return check_answer(module.build(results))


def check_answer(answer: Panel | NotApplicable) -> bool:
    """Checks what a panel gave; whether it applies."""
    if isinstance(answer, NotApplicable):
        expect(answer.reason.endswith("."), f'the reason "{answer.reason}" is no sentence')
        return False
    expect(isinstance(answer, Panel), f"it gives {type(answer).__name__}, neither Panel nor NotApplicable")
    expect(bool(answer.sentences), "it says nothing")
    expect(all(sentence.strip() for sentence in answer.sentences), "a sentence is blank")
    json.dumps(answer.statistics, allow_nan=False)
    for table in answer.tables:
        _check_table(table)
    for chart in answer.charts:
        _check_chart(chart)
    return True


def _check_table(table: Table) -> None:
    names = [column.name for column in table.columns]
    expect(len(set(names)) == len(names), f"the table {table.name} has two columns of one name")
    expect(all(names[0] in row for row in table.rows), f"a row of the table {table.name} has no {names[0]}")
    for column in table.columns:
        kind = str if column.kind == "text" else int | float
        wrong = [v for row in table.rows if (v := row.get(column.name)) is not None and not isinstance(v, kind)]
        expect(not wrong, f"{table.name}.{column.name} is {column.kind}, and holds {wrong[:1]}")
    json.dumps(table.rows, allow_nan=False)


def _check_chart(chart: Chart) -> None:
    expect(bool(chart.description), f"the chart {chart.name} has no description")
    expect(re.fullmatch(r"[a-z0-9-]+", chart.name) is not None, f'the chart\'s name "{chart.name}" names no file')
    json.dumps(chart.spec, allow_nan=False)
