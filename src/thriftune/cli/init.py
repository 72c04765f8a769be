"""`thriftune init`: a study file that fits some data, and with --run the whole way to the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.compare import run_study
from thriftune.cli.data_study import study_of, write_study
from thriftune.errors import InputError
from thriftune.paths import source_name

EXAMPLES = [
    "thriftune init reviews.csv",
    "thriftune init reviews.csv --run",
    "thriftune init reviews.csv --out reviews.yaml",
    "thriftune init reviews.csv --text review --label mood",
]


def init(
    source: Annotated[
        str, typer.Argument(help="Data file or folder (csv, xlsx, jsonl, parquet, ...), hub:OWNER/NAME or demo:NAME.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Study file to write; NAME.yaml in this folder where none is given.")
    ] = None,
    text: Annotated[list[str] | None, typer.Option(metavar="COLUMN", help="The text column; twice for a pair.")] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="The label column.")] = None,
    probe: Annotated[
        bool, typer.Option(help="Time this machine for some seconds, once, to say how long the study takes.")
    ] = True,
    run: Annotated[
        bool, typer.Option("--run", help="Go straight on to the page; a study file that is there is gone on with.")
    ] = False,
    results: Annotated[
        Path | None, typer.Option(help="With --run: folder for the results; results-NAME where none is given.")
    ] = None,
) -> None:
    """Look at a data file and write a study file that fits it, with reasons and times.

    With --run the study runs at once; Ctrl-C keeps what is done, and the same command goes on.
    """
    if not run:
        if results is not None:
            raise InputError("--results has no effect without --run. Add --run, or give the folder to compare --out.")
        path = out or Path(f"{source_name(source)}.yaml")
        write_study(source, path, text or (), label, probe)
        typer.echo(f"Wrote {path}. Check it, then run: thriftune compare {path}")
        return
    path = study_of(source, out, text or (), label, probe)
    from thriftune.study.file.config import load_study

    run_study(load_study(path), results)
