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
    from thriftune.analysis.analyse import analysed
    from thriftune.paths import check_folder
    from thriftune.report.render import write_page
    from thriftune.results.store import Store

    check_folder(folder, "the folder that `thriftune compare --out` wrote")
    analysis = analysed(Store(folder).load())
    print_summary(analysis, write_page(analysis), verbose)
