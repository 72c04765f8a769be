"""Tables with a row for each method, its seeds together, from rows of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, Table
from thriftune.analysis.findings.runs import Cell, cells
from thriftune.results.record import RunRecord

Row = dict[str, Any]
Write = Callable[[float, float], str]


def by_method(
    table: Table,
    runs: Sequence[RunRecord],
    spreads: Mapping[str, tuple[str, Write]] | None = None,
    own: Callable[[Cell], Row] | None = None,
) -> Table:
    """The table of methods to a table with a row for each of these runs.

    Of every number it has the mean over the seeds, of every text what they say; the first column names the method.
    `spreads` gives for a column the heading of its range over the seeds and what writes the lowest and the highest; it
    and the number of seeds are columns where a method has more than one. `own` gives what a row holds that is no mean.
    """
    of_run = {run.run_id: row for run, row in zip(runs, table.rows, strict=True)}
    groups = cells(runs)
    several = any(len(group.runs) > 1 for group in groups)
    first, *others = table.columns
    shown = [replace(first, label="Method"), *([Column("seeds", "Seeds", "int")] if several else [])]
    for column in others:
        shown.append(column)
        if several and spreads and column.name in spreads:
            shown.append(Column(f"{column.name}_spread", spreads[column.name][0]))
    merged = [
        {first.name: group.name, "seeds": len(group.runs)}
        | _merged(others, [of_run[run.run_id] for run in group.runs], spreads or {})
        | (own(group) if own else {})
        for group in groups
    ]
    means = " Means over seeds." if several else ""
    return replace(table, caption=f"{table.caption}{means}", columns=shown, rows=merged)


def _merged(columns: list[Column], rows: list[Row], spreads: Mapping[str, tuple[str, Write]]) -> Row:
    out: Row = {}
    flags = [row["unranked"] for row in rows if "unranked" in row]
    if flags:
        out["unranked"] = flags[0] if all(flag == flags[0] for flag in flags) else True
    for column in columns:
        known = [row[column.name] for row in rows if row.get(column.name) is not None]
        if column.kind == "text":
            out[column.name] = _said(known, len(rows))
            continue
        out[column.name] = sum(known) / len(known) if known else None
        if known and column.kind == "int":
            out[column.name] = round(out[column.name])
        reasons = (row[f"{column.name}_reason"] for row in rows if row.get(f"{column.name}_reason"))
        if not known and (reason := next(reasons, None)):
            out[f"{column.name}_reason"] = reason
        if column.name in spreads:
            write = spreads[column.name][1]
            low, high = min(known, default=0), max(known, default=0)
            out[f"{column.name}_spread"] = "" if write(low, low) == write(high, high) else write(low, high)
    return out


def _said(texts: list[str], rows: int) -> str | None:
    """What the rows of a method say: once where all say the same, else each with how many say it."""
    if not texts:
        return None
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1 and len(texts) == rows:
        return distinct[0]
    told = [f"{text} ({texts.count(text)} of {rows})" for text in distinct if text]
    return f.listing(told) if told else ""
