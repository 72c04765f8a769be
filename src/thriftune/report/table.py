"""The study's outcome as plain strings: what the terminal prints when a study has finished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thriftune.analysis import format as f
from thriftune.analysis.panel import Column
from thriftune.analysis.summary import COLUMNS, cost, error_behaviour, notes, performance, row
from thriftune.results.store import Results

WRITERS: dict[str, Callable[[float], str]] = {
    "int": f.count,
    "number": f.number,
    "percent": f.percent,
    "bytes": f.size,
    "seconds": f.seconds,
    "ratio": f.ratio,
}


def summary_rows(results: Results) -> list[dict[str, str]]:
    """One dict per run, failed ones too: readable column name to formatted value, "not measured" for unknown."""
    return [{column.label: cell(column, values) for column in COLUMNS} for values in map(row, results.runs)]


def summary_sentences(results: Results) -> list[str]:
    """The three answers: performance, cost, errors."""
    return [f.plain(answer(results)) for answer in (performance, cost, error_behaviour)]


def summary_notes(results: Results) -> list[str]:
    """What the comparison does not say: seeds, protocols, how the intervals are computed."""
    return notes(results)


def cell(column: Column, row: dict[str, Any]) -> str:
    """One value as text; an unknown number is "not measured" where a reason is known, else a dash."""
    value = row.get(column.name)
    if value is None:
        return f.NOT_MEASURED if f"{column.name}_reason" in row else "–"
    if column.kind == "text":
        return str(value)
    return WRITERS[column.kind](value)
