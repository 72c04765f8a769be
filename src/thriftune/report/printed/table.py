"""The study's outcome as plain strings: what the terminal prints when a study has finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from thriftune import wording as f
from thriftune.analysis.analyse import Analysis
from thriftune.analysis.display.panel import Column, Panel, Table
from thriftune.analysis.findings import search
from thriftune.analysis.findings.answers import verdicts
from thriftune.analysis.findings.choice import Ranked, table_rows
from thriftune.analysis.findings.threats import threats
from thriftune.analysis.findings.training import AT, MARK, careful, losses, others, trained
from thriftune.metrics import METRICS, Kind
from thriftune.results.store import Results

WRITERS: dict[Kind, Callable[[float], str]] = {
    "int": f.count,
    "number": f.number,
    "percent": f.percent,
    "points": f.signed_points,
    "p": f.p_value,
    "bytes": f.size,
    "seconds": f.seconds,
    "latency": f.brief,
    "ratio": f.ratio,
    "epochs": f.epochs,
}
SHORT_WRITERS: dict[Kind, Callable[[float], str]] = WRITERS | {"percent": f.bare_percent, "int": f.short_count}


def _summary(analysis: Analysis) -> Panel:
    found = analysis.panel("summary")
    assert isinstance(found, Panel)
    return found


def _short(name: str, values: dict[str, Any], key: str | None = None) -> str:
    """A metric's value as the terminal shows it; what is not known is a dash."""
    value = values.get(key or name)
    return "–" if value is None else SHORT_WRITERS[METRICS[name].kind](value)


def summary_rows(analysis: Analysis) -> list[dict[str, str]]:
    """One dict per run, failed ones too: short heading to value, in the order of importance.

    What is not known is a dash.
    """
    return [_terminal_row(row) for row in _summary(analysis).tables[0].rows]


def _terminal_row(values: dict[str, Any]) -> dict[str, str]:
    mark = f"{MARK} " if values["still_improving"] else ""
    out = {"Run": values["run"], METRICS["accuracy"].short: f"{mark}{_short('accuracy', values)}"}
    out["95%"] = values.get("interval", "–").removesuffix("%")
    names = ("macro_f1", "peak_memory_bytes", "seconds", "samples_per_second", "trained_parameters", "stored_bytes")
    return out | {METRICS[name].short: _short(name, values) for name in names}


def recommendation_rows(ranked: Sequence[Ranked], tasks: int) -> list[dict[str, str]]:
    """One dict per candidate, in order of choice: short heading to value; what is not known is a dash."""
    metric = next((each.candidate.metric for each in ranked if each.candidate.measured), "accuracy")
    timed = any(each.candidate.latency is not None for each in ranked)
    return [
        {
            "Rank": "–" if row["rank"] is None else f.count(row["rank"]),
            "Method": row["name"],
            "Numbers": row["numbers"],
            METRICS[metric].short: f"{f'{MARK} ' if row['training'] else ''}{_short(metric, row, 'score')}",
            "Below best": row["below"] or "–",
            "Memory": _short("peak_memory_bytes", row, "memory"),
            "Time": _short("seconds", row),
            **({METRICS["latency_seconds"].short: _short("latency_seconds", row, "latency")} if timed else {}),
            f"Stored, {f.plural(tasks, 'task')}": _short("stored_bytes", row, "storage"),
            "Pareto": row["best_for"] or "–",
            "Fits": row["fits"],
        }
        for row in table_rows(ranked, tasks)
    ]


def panel_rows(table: Table) -> list[dict[str, str]]:
    """A panel's table for the terminal: heading to value; what is not known is a dash."""
    return [
        {column.label: "–" if row.get(column.name) is None else cell(column, row) for column in table.columns}
        for row in table.rows
    ]


def summary_remarks(analysis: Analysis) -> list[str]:
    """What to know before comparing runs of the table: "Did not learn: full and lora r8."; and how training ended."""
    results, rows = analysis.results, _summary(analysis).tables[0].rows
    named: dict[str, list[str]] = {}
    for run, row in zip(results.runs, rows, strict=True):
        if run.status == "done" and row["remark"]:
            named.setdefault(row["remark"], []).append(run.name)
    told = [f"{_sign(found)}{found[0].upper()}{found[1:]}: {f.listing(names)}." for found, names in named.items()]
    return [f.plain(text) for text in [*told, *losses(results), *others(results)]]


def _sign(remark: str) -> str:
    """The mark that stands in the table beside runs with this remark."""
    return f"{MARK} " if remark == "still improving" or AT in remark else ""


def summary_training(results: Results) -> tuple[list[str], str | None]:
    """Which methods were still improving and what that means, and the command that would tell; empty where none was."""
    more = trained(results).more
    return [f.plain(text) for text in careful(results)], more.command if more else None


def summary_notes(analysis: Analysis) -> list[str]:
    """What threatens the study, and what it does not say: seeds, protocols, how the intervals are computed."""
    return [*(f.plain(threat.words) for threat in threats(analysis.results)), *_summary(analysis).notes]


def verdict_sentences(analysis: Analysis) -> list[str]:
    """What can be said of every pair of methods, and what no verdict rests on."""
    return [f.plain(sentence) for sentence in verdicts.sentences(analysis.results)]


def search_lines(analysis: Analysis) -> list[str]:
    """What the search found for each method; nothing where the study has none."""
    return [f.plain(line) for line in search.lines(analysis.results)]


SHORT = 16
"""Characters of a reason that fits a cell."""


def cell(column: Column, row: dict[str, Any]) -> str:
    """One value as text; for an unknown number its reason where that is short, else a dash."""
    value = row.get(column.name)
    if value is None:
        reason = row.get(f"{column.name}_reason")
        return reason if reason is not None and len(reason) <= SHORT else "–"
    if column.kind == "text":
        return str(value)
    return WRITERS[column.kind](value)
