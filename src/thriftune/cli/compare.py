"""`thriftune compare`: runs a study, writes its report, prints what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.cli.options import Only, Overrides, StudyFile, Without, slug
from thriftune.cli.output import print_training, say_interrupted
from thriftune.endings import from_unread
from thriftune.errors import printable

if TYPE_CHECKING:
    from thriftune.analysis.analyse import Analysis

EXAMPLES = """\b
Examples:
  thriftune compare
  thriftune compare study.yaml --out results
  thriftune compare study.yaml --out quick --set protocol.epochs=1 --set data.limit.train=500
  thriftune compare study.yaml --set methods.0.lora.rank=4 --set 'seeds=[0, 1, 2]'
  thriftune compare study.yaml --set 'protocol.batch_size=[8, 16, 32]' --without full
  thriftune compare study.yaml --set search.trials=20 --set 'search.over.learning_rate=[1e-5, 1e-2, log]'
"""


def compare(
    study: StudyFile = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; results-NAME where none is given.", show_default=False),
    ] = None,
    only: Only = None,
    without: Without = None,
    overrides: Overrides = None,
) -> None:
    """Run every model and method of a study, write the report and print the verdicts.

    Runs that are done already are taken from the folder; the same command resumes an interrupted study.
    """
    from thriftune.study.file.config import load_study

    loaded = load_study(study, overrides or ())
    folder = out or Path(f"results-{slug(loaded.name)}")

    from thriftune.comparison import compare_and_analyse
    from thriftune.progress import display
    from thriftune.report.render import write_page

    try:
        with display() as listener:
            analysis = compare_and_analyse(loaded, folder, listener, only=only or (), without=without or ())
        report_path = write_page(analysis)
    except KeyboardInterrupt:
        say_interrupted("Interrupted. What is done is kept: the same command resumes.")
        raise typer.Exit(130) from None
    except OSError as error:
        if not from_unread(error, sys.stderr):
            raise
        raise typer.Exit(130) from None  # nobody follows the study any more: as if its terminal had been closed
    with _reader_may_leave():
        _print_summary(analysis, report_path)
    if any(run.status != "done" for run in analysis.results.runs):
        raise typer.Exit(1)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """What is printed inside may go unread: the results are on disk."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if not from_unread(error, sys.stdout, sys.stderr):
            raise


def _print_summary(analysis: Analysis, report_path: Path) -> None:
    from thriftune.report.table import (
        search_lines,
        summary_notes,
        summary_remarks,
        summary_rows,
        summary_sentences,
        summary_training,
        verdict_sentences,
    )
    from thriftune.terminal import print_table, print_text

    print_table(summary_rows(analysis))
    for remark in summary_remarks(analysis):
        print_text(remark)
    print_training(*summary_training(analysis.results))
    for sentence in [*summary_sentences(analysis), *summary_notes(analysis)]:
        print_text(f"\n{sentence}")
    for number, line in enumerate(search_lines(analysis)):
        print_text(line if number else f"\nSearch:\n{line}")
    for number, sentence in enumerate(verdict_sentences(analysis)):
        print_text(sentence if number else f"\nVerdicts:\n{sentence}")
    for run in analysis.results.runs:
        if run.status != "done":
            typer.echo(
                f"\n{run.name}: {run.status.replace('_', ' ')}. {printable(run.message or '')}".rstrip(), err=True
            )
    typer.echo(f"\nReport: {report_path}")
