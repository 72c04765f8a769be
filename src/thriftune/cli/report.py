"""`thriftune report`: the report anew, and what it says; of several studies one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.elsewhere import changed
from thriftune.cli.options import Verbose
from thriftune.cli.output import print_summary
from thriftune.errors import InputError, printable

EXAMPLES = [
    "thriftune report results",
    "thriftune report results --verbose",
    "thriftune report results-small results-base --out both.html",
]


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="FOLDER",
            help="Folder that `thriftune compare --out` wrote, or its URL; several: side by side.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Of several folders: the page to write; side-by-side.html where none is given.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Rebuild the report of a finished study and print what to take; needs no model.

    Of two or more studies: one page with their methods side by side, and whether their scores can be compared.
    """
    if len(folders) == 1:
        if out is not None:
            raise InputError("--out has no effect on one folder: its page is report.html in it. Give several folders.")
        from thriftune.report.render import rewritten

        with changed(folders[0]) as folder:
            print_summary(*rewritten(folder), verbose)
        return
    from thriftune.remote.reading import folder_here
    from thriftune.report.beside import facts, read_beside, sentences, table, write_beside
    from thriftune.terminal import print_table, print_text

    found = read_beside([folder_here(folder) for folder in folders])
    path = write_beside(found, out or Path("side-by-side.html"))
    for fact in facts(found):
        texts, classes = fact["Texts"], fact["Classes"]
        print_text(f"{fact['']}: {fact['Folder']} ({fact['Study']}; {texts}; {classes} classes). {fact['Recommends']}")
    print_table(table(found))
    for sentence in sentences(found):
        print_text(sentence)
    typer.echo(printable(f"Report: {path}"))
