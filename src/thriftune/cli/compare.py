"""`thriftune compare`: runs a study, writes its report, prints what to take."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.options import Only, Overrides, StudyFile, Verbose, Without, slug
from thriftune.cli.output import print_summary, say_interrupted
from thriftune.endings import from_unread

EXAMPLES = [
    "thriftune compare",
    "thriftune compare study.yaml --out results",
    "thriftune compare study.yaml --out quick --set protocol.epochs=1 --set data.limit.train=500",
    "thriftune compare study.yaml --set methods.0.lora.rank=4 --set 'seeds=[0, 1, 2]'",
    "thriftune compare study.yaml --set 'protocol.batch_size=[8, 16, 32]' --without full",
    "thriftune compare study.yaml --set search.trials=20 --set 'search.over.learning_rate=[1e-5, 1e-2, log]'",
]


def compare(
    study: StudyFile = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the results; results-NAME where none is given.")] = None,
    only: Only = None,
    without: Without = None,
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Run every model and method of a study, write the report and print what to take.

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
    try:
        print_summary(analysis, report_path, verbose)
        sys.stdout.flush()
    except OSError as error:
        if not from_unread(error, sys.stdout, sys.stderr):
            raise  # else nobody reads what is printed: the results are on disk
    if any(run.status != "done" for run in analysis.results.runs):
        raise typer.Exit(1)
