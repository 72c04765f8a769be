"""What several commands print."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from thriftune.errors import printable
from thriftune.paths import named

if TYPE_CHECKING:
    from thriftune.analysis.analyse import Analysis


def print_json(document: Any) -> None:
    """Prints one JSON document on standard output."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def place(path: Path) -> str:
    """Where a file is: its URL too, where it lies in a copy of a folder elsewhere."""
    there = named(path)
    return str(path) if there == str(path) else f"{there} (here: {path})"


def working(text: str) -> None:
    """Says on standard error what is being done."""
    typer.echo(f"{text} ...", err=True)


def say_interrupted(text: str) -> None:
    """Says on standard error that the command ends early."""
    with suppress(OSError):  # a terminal that was closed
        typer.echo(f"\n{text}", err=True)


def print_training(sentences: list[str], command: str | None) -> None:
    """Which runs were still improving, and the command that would tell on a line of its own, to be copied."""
    from thriftune.terminal import print_text

    for number, sentence in enumerate(sentences):
        print_text(sentence if number else f"\n{sentence}")
    if command is not None:
        typer.echo(f"  {printable(command)}")


def print_summary(analysis: Analysis, report_path: Path, verbose: bool = False) -> None:
    """The leading methods, the best first, and at most six lines, the last of them the report's path."""
    from thriftune.report.printed.brief import brief
    from thriftune.terminal import print_table, print_text

    if verbose:
        _print_details(analysis)
    results = analysis.results
    found = brief(results)
    if found.rows:
        print_table(found.rows)
    if found.more:
        print_text(found.more)
    for each in found.lines:
        if each.command:
            typer.echo(printable(each.said))
        else:
            print_text(each.said)
    for run in results.runs:
        if run.status != "done":
            typer.echo(
                f"\n{run.name}: {run.status.replace('_', ' ')}. {printable(run.message or '')}".rstrip(), err=True
            )
    typer.echo(f"Report: {place(report_path)}")


def _print_details(analysis: Analysis) -> None:
    """Every run, how its training ended, what the comparison does not say, the search and the verdicts."""
    from thriftune.report.printed.table import (
        search_lines,
        summary_notes,
        summary_remarks,
        summary_rows,
        summary_training,
        verdict_sentences,
    )
    from thriftune.terminal import print_table, print_text

    print_table(summary_rows(analysis))
    for remark in summary_remarks(analysis):
        print_text(remark)
    print_training(*summary_training(analysis.results))
    for sentence in summary_notes(analysis):
        print_text(f"\n{sentence}")
    for number, line in enumerate(search_lines(analysis)):
        print_text(line if number else f"\nSearch:\n{line}")
    for number, sentence in enumerate(verdict_sentences(analysis)):
        print_text(sentence if number else f"\nVerdicts:\n{sentence}")
    typer.echo("")
