"""`thriftune promote`: which run's model a study's folder stands for."""

from __future__ import annotations

from typing import Annotated

import typer

from thriftune.cli.options import ResultsFolder
from thriftune.errors import InputError, printable

EXAMPLES = [
    "thriftune promote results lora",
    "thriftune promote results 'lora r8 all seed 1'",
    "thriftune promote results --recommended",
]


def promote(
    folder: ResultsFolder,
    run: Annotated[
        str | None, typer.Argument(help="Its name in the report, its method, its folder or what begins one name alone.")
    ] = None,
    recommended: Annotated[
        bool, typer.Option("--recommended", help="Back to the run that the study recommends.")
    ] = False,
) -> None:
    """Choose the run whose model predict takes, and FOLDER/best holds; the next comparisons keep it."""
    from thriftune.export.card import card
    from thriftune.paths import check_folder
    from thriftune.results.store import Store
    from thriftune.use import choose
    from thriftune.use.models import best

    check_folder(folder, "the folder that `thriftune compare --out` wrote")
    if (run is None) != recommended:
        raise InputError("Give a run's name, or --recommended. `thriftune runs FOLDER` lists the names.")
    results = Store(folder).load()
    if run is None:
        kept = best.demote(results, card)
        if kept.best is None:
            raise InputError(kept.reason or "No run is recommended.")
        typer.echo(printable(f"{results.store.best_path} holds {kept.best.name}, which the study recommends."))
        return
    chosen = best.promote(results, choose.named(results, run), card)
    typer.echo(printable(f"{results.store.best_path} holds {chosen.name}, and `thriftune predict {folder}` takes it."))
    typer.echo(printable(f"Back: thriftune promote {folder} --recommended"))
