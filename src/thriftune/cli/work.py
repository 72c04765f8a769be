"""`thriftune work`: one of several processes that make the runs of one study."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.cli.options import Only, Overrides, Track, Verbose, Without
from thriftune.cli.output import print_summary, say_interrupted
from thriftune.endings import HANGUP, exit_code, from_unread
from thriftune.errors import InputError
from thriftune.paths import results_folder, user_path
from thriftune.remote.url import url_of

if TYPE_CHECKING:
    from thriftune.results.store import Results

EXAMPLES = [
    "thriftune work study.yaml --out results",
    "thriftune work results",
    "thriftune work results --workers auto --exit-when-idle",
    "thriftune work study.yaml --out results --only 'lora*' --track mlflow",
]


def work(
    study: Annotated[str, typer.Argument(help="Study file (YAML), or a results folder, to take part in its study.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results, which all processes see; results-NAME where none is given."),
    ] = None,
    workers: Annotated[
        str, typer.Option(metavar="N", help="Runs at once in this process, or auto: one for each GPU, else for 4 CPUs.")
    ] = "1",
    exit_when_idle: Annotated[
        bool, typer.Option("--exit-when-idle", help="Exit when nothing is free, while others make the last runs.")
    ] = False,
    lease: Annotated[
        float, typer.Option(metavar="SECONDS", help="Not heard of for so long, this process counts as dead.")
    ] = 60.0,
    only: Only = None,
    without: Without = None,
    track: Track = None,
    overrides: Overrides = None,
    verbose: Verbose = False,
) -> None:
    """Make runs of a study together with other processes, on this machine or on others that see the same folder.

    The first prepares the study. Each run is made by one; runs of a process that died are taken over from their last
    checkpoint. The last process writes the report. With --only and --without this one leaves runs to others, which may
    have other devices. No server is needed: see docs/scale.md.
    """
    from thriftune.cli.data_study import is_results
    from thriftune.progress import display
    from thriftune.study.file.config import load_study
    from thriftune.study.shared.work import How
    from thriftune.study.shared.work import work as work_on
    from thriftune.tracking.listener import tracked

    for given in (study, out):
        if given is not None and (url := url_of(given)) is not None:
            raise InputError(
                f"{url}: work needs a folder with locks that all its processes see, no URL. Give a folder; "
                "`thriftune compare STUDY --out URL` makes the runs on one machine."
            )
    path = user_path(str(Path(study)))
    if path.is_dir() and is_results(path):
        path, out = path / "study.yaml", out or path
    loaded = load_study(path, overrides or ())
    folder = out or results_folder(loaded.name)
    how = How(workers, tuple(only or ()), tuple(without or ()), not exit_when_idle, lease)
    try:
        with display() as shown, tracked(track or (), loaded.name, folder, shown) as listener:
            found = work_on(loaded, folder, listener, how, _finish)
            if found.last:
                listener.report(found.results.store.report_path)
    except KeyboardInterrupt:
        say_interrupted("Interrupted. What is done is kept, a training up to its last step; others take it over.")
        raise typer.Exit(exit_code()) from None
    except OSError as error:
        if not from_unread(error, sys.stderr):
            raise
        raise typer.Exit(HANGUP) from None
    made = ", ".join(f"{run.name}: {run.status.replace('_', ' ')}" for run in found.made)
    typer.echo(f"Made here: {made or 'nothing'}.", err=True)
    if found.left:
        typer.echo(f"Others are making {found.left} more; the last one writes the report.", err=True)
        raise typer.Exit(1 if any(run.status != "done" for run in found.made) else 0)
    if found.elsewhere:
        typer.echo(f"Left to processes that may make them: {found.elsewhere} of the study's runs.", err=True)
        raise typer.Exit(1 if any(run.status != "done" for run in found.made) else 0)
    if found.last:
        from thriftune.analysis.analyse import analysed

        print_summary(analysed(found.results), found.results.store.report_path, verbose)
    if any(run.status != "done" for run in found.results.runs):
        raise typer.Exit(1)


def _finish(results: Results) -> None:
    """Analysis, the best model and the page, as `compare` leaves them."""
    from thriftune.comparison import analyse
    from thriftune.report.render import write_page

    write_page(analyse(results))
