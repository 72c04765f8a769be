"""`thriftune promote`: which run's model a study's folder stands for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.cli.elsewhere import changed
from thriftune.cli.options import ResultsFolder
from thriftune.errors import InputError, printable

if TYPE_CHECKING:
    from thriftune.results.store import Results

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
    from thriftune.paths import named
    from thriftune.remote.reading import whole
    from thriftune.results.store import Store
    from thriftune.use import choose
    from thriftune.use.models import best

    if (run is None) != recommended:
        raise InputError("Give a run's name, or --recommended. `thriftune runs FOLDER` lists the names.")
    results = _results(folder)
    found = choose.recommended(results) if run is None else choose.named(results, run)
    whole(results.store.run(found.run_id).path)
    with changed(folder) as here:
        results = Store(here).load()
        name, place = named(here), named(results.store.best_path)
        if run is None:
            kept = best.demote(results, card)
            if kept.best is None:
                raise InputError(kept.reason or "No run is recommended.")
            typer.echo(printable(f"{place} holds {kept.best.name}, which the study recommends."))
            return
        chosen = best.promote(results, found, card)
        typer.echo(printable(f"{place} holds {chosen.name}, and `thriftune predict {name}` takes it."))
        typer.echo(printable(f"Back: thriftune promote {name} --recommended"))


def _results(folder: Path) -> Results:
    from thriftune.paths import check_folder
    from thriftune.remote.reading import folder_here
    from thriftune.results.store import Store

    here = folder_here(folder)
    check_folder(here, "the folder that `thriftune compare --out` wrote")
    return Store(here).load()
