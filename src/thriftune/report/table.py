"""The study's outcome as plain strings: what the terminal prints when a study has finished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, Table
from thriftune.analysis.findings.choice import Ranked, table_rows
from thriftune.analysis.findings.training import AT, MARK, careful, others, trained
from thriftune.analysis.panels.answers import verdicts
from thriftune.analysis.panels.answers.summary import cost, error_behaviour, losses, notes, performance, remark, row
from thriftune.analysis.panels.data.profile import warnings
from thriftune.analysis.panels.performance import search
from thriftune.results.store import Results

WRITERS: dict[str, Callable[[float], str]] = {
    "int": f.count,
    "number": f.number,
    "percent": f.percent,
    "points": f.signed_points,
    "p": f.p_value,
    "bytes": f.size,
    "seconds": f.seconds,
    "ratio": f.ratio,
    "epochs": f.epochs,
}


def summary_rows(results: Results) -> list[dict[str, str]]:
    """One dict per run, failed ones too: short heading to value, in the order of importance.

    What is not known is a dash.
    """
    return [_terminal_row(row(run, trained(results))) for run in results.runs]


def _terminal_row(values: dict[str, Any]) -> dict[str, str]:
    def text(name: str, write: Callable[[float], str]) -> str:
        return "–" if values.get(name) is None else write(values[name])

    return {
        "Run": values["run"],
        "Acc. %": f"{f'{MARK} ' if values['still_improving'] else ''}{text('accuracy', f.bare_percent)}",
        "95%": values.get("interval", "–").removesuffix("%"),
        "F1 %": text("macro_f1", f.bare_percent),
        "Memory": text("peak_memory_bytes", f.size),
        "Time": text("seconds", f.seconds),
        "Samples/s": text("samples_per_second", f.number),
        "Trained": text("trained_parameters", f.short_count),
        "Stored": text("stored_bytes", f.size),
    }


def recommendation_rows(ranked: Sequence[Ranked], tasks: int) -> list[dict[str, str]]:
    """One dict per candidate, in order of choice: short heading to value; what is not known is a dash."""

    def text(value: float | None, write: Callable[[float], str]) -> str:
        return "–" if value is None else write(value)

    return [
        {
            "Rank": text(row["rank"], f.count),
            "Method": row["name"],
            "Numbers": row["numbers"],
            "Acc. %": f"{f'{MARK} ' if row['training'] else ''}{text(row['accuracy'], f.bare_percent)}",
            "Memory": text(row["memory"], f.size),
            "Time": text(row["seconds"], f.seconds),
            f"Stored, {f.plural(tasks, 'task')}": text(row["storage"], f.size),
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


def summary_remarks(results: Results) -> list[str]:
    """What to know before comparing runs of the table: "Did not learn: full and lora r8."; and how training ended."""
    named: dict[str, list[str]] = {}
    for run in results.runs:
        if run.status == "done" and (found := remark(run, trained(results))):
            named.setdefault(found, []).append(run.name)
    told = [f"{_sign(found)}{found[0].upper()}{found[1:]}: {f.listing(names)}." for found, names in named.items()]
    return [f.plain(text) for text in [*told, *losses(results), *others(results)]]


def _sign(remark: str) -> str:
    """The mark that stands in the table beside runs with this remark."""
    return f"{MARK} " if remark == "still improving" or AT in remark else ""


def summary_training(results: Results) -> tuple[list[str], str | None]:
    """Which methods were still improving and what that means, and the command that would tell; empty where none was."""
    more = trained(results).more
    return [f.plain(text) for text in careful(results)], more.command if more else None


def summary_sentences(results: Results) -> list[str]:
    """The three answers: performance, cost, errors."""
    return [f.plain(answer(results)) for answer in (performance, cost, error_behaviour)]


def summary_notes(results: Results) -> list[str]:
    """What the data needs, and what the comparison does not say: seeds, protocols, how the intervals are computed."""
    return [*(f.plain(each) for each in warnings(results.study.profile)), *notes(results)]


def verdict_sentences(results: Results) -> list[str]:
    """What can be said of every pair of methods, and what no verdict rests on."""
    return [f.plain(sentence) for sentence in verdicts.sentences(results)]


def search_lines(results: Results) -> list[str]:
    """What the search found for each method; nothing where the study has none."""
    return [f.plain(line) for line in search.lines(results)]


SHORT = 16
"""Characters of a reason that fits a cell."""


def cell(column: Column, row: dict[str, Any]) -> str:
    """One value as text; for an unknown number its reason, or "not known" where that is long, or a dash without one."""
    value = row.get(column.name)
    if value is None:
        reason = row.get(f"{column.name}_reason")
        return "–" if reason is None else reason if len(reason) <= SHORT else f.UNKNOWN
    if column.kind == "text":
        return str(value)
    return WRITERS[column.kind](value)
