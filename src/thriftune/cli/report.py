"""`thriftune report`: the report anew, and what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.options import Verbose
from thriftune.cli.summary import print_summary

EXAMPLES = ["thriftune report results", "thriftune report results --verbose"]


def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `thriftune compare --out` wrote.")],
    verbose: Verbose = False,
) -> None:
    """Rebuild the report of a finished study and print what to take; needs no model."""
    from thriftune.report.render import rewritten

    print_summary(*rewritten(folder), verbose)
