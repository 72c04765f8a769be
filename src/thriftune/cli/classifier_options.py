"""Arguments of the commands that use a trained classifier."""

from __future__ import annotations

from typing import Annotated

import typer

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Output folder of a study (its promoted run, else the recommended one), FOLDER:RUN (FOLDER:lora), "
        "FOLDER:refit, or the folder of a run or of a model.",
    ),
]
LabelFile = Annotated[str, typer.Argument(help="csv, tsv, jsonl or parquet; - for standard input, with --format.")]
TextColumn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the texts, if it is not called as in training; twice for pairs.",
        show_default=False,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(help="What FILE holds: csv, tsv, jsonl or parquet; by its ending if left out.", show_default=False),
]
