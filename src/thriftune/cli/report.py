"""`thriftune report`: the report anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = ["thriftune report results"]


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `thriftune compare --out` wrote.")],
) -> None:
    """Rebuild the report of a finished study; needs no model."""
    from thriftune.report.render import write_report

    typer.echo(f"Report: {write_report(folder)}")
