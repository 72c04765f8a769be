"""`thriftune init`: a study file that fits some data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.options import slug
from thriftune.cli.output import working
from thriftune.errors import InputError, printable

EXAMPLES = [
    "thriftune init reviews.csv",
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
) -> None:
    """Look at a data file and write a study file that fits it, with reasons and times."""
    from thriftune.data.guess.inspect import guess
    from thriftune.paths import check_new_file
    from thriftune.results.files import write_text
    from thriftune.study.proposal.draft import MODEL, draft
    from thriftune.study.proposal.max_tokens import token_room
    from thriftune.study.proposal.propose import initial

    name = slug(Path(os.path.abspath(source.replace(":", "-").replace("\0", "-"))).name.split(".")[0])
    path = out or Path(f"{name}.yaml")
    check_new_file(path)
    guessed = guess(source, text or (), label)
    space = token_room(guessed.texts, MODEL)
    proposal = initial(guessed, space, MODEL, probe, working)
    try:
        write_text(path, draft(guessed, space, proposal, name, path.resolve().parent))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}). Name another file with --out.") from error
    for reason in [*guessed.reasons, space.reason, *proposal.reasons]:
        typer.echo(f"- {printable(reason)}")
    for warning in guessed.warnings:
        typer.echo(f"! {printable(warning.text)}")
    if guessed.problem:
        typer.echo(f"! As they are, compare refuses these data: {printable(guessed.problem)}")
    typer.echo(f"Wrote {path}. Check it, then run: thriftune compare {path}")
