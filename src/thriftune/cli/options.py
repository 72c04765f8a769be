"""Arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

StudyFile = Annotated[Path | None, typer.Argument(help="Study file (YAML); the demo where none is given.")]
ResultsFolder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER",
        help="Folder that `thriftune compare --out` wrote, or its URL (s3://BUCKET/FOLDER ...).",
        show_default=False,
    ),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the study file (YAML value).")
]
Only = Annotated[
    list[str] | None,
    typer.Option(metavar="RUN", help="Make this run alone; may be repeated, and hold * (all with BERT: 'BERT*')."),
]
Without = Annotated[
    list[str] | None, typer.Option(metavar="RUN", help="Leave this run out; may be repeated, and hold *.")
]
Track = Annotated[
    list[str] | None,
    typer.Option(metavar="TRACKER", help="Tell wandb, mlflow, tensorboard or trackio of every run; may be repeated."),
]
Verbose = Annotated[bool, typer.Option("--verbose", help="Print every run, verdict and note as well.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
