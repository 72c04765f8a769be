"""`thriftune compare`: runs a study, writes its report, prints what to take."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thriftune.cli.cluster_options import RETRIES, WAIT, Ray, RayRetries, RayThreads, RayWait, cluster_of
from thriftune.cli.data_study import is_data, is_results, study_of
from thriftune.cli.options import Only, Overrides, Track, Verbose, Without
from thriftune.cli.several import compare_several
from thriftune.cli.showing import AsEvents, Quiet, Showing
from thriftune.endings import HANGUP, exit_code, from_unread
from thriftune.errors import InputError

if TYPE_CHECKING:
    from thriftune.study.crew.ray.settings import RaySettings
    from thriftune.study.file.config import Study
from thriftune.paths import results_folder, user_path
from thriftune.remote.reading import study_there

EXAMPLES = [
    "thriftune compare",
    "thriftune compare reviews.csv",
    "thriftune compare study.yaml --out results",
    "thriftune compare results --without full",
    "thriftune compare study.yaml --workers 4",
    "thriftune compare study.yaml --ray local --ray-threads 1",
    "thriftune compare study.yaml --processes 2",
    "thriftune compare study.yaml --out quick --set protocol.epochs=1 --set data.limit.train=500",
    "thriftune compare study.yaml --set methods.0.lora.rank=4 --set 'seeds=[0, 1, 2]'",
    "thriftune compare study.yaml --set 'protocol.batch_size=[8, 16, 32]' --without full",
    "thriftune compare study.yaml --out s3://bucket/results --track mlflow --track tensorboard",
    "thriftune compare study.yaml --set search.trials=20 --set 'search.over.learning_rate=[1e-5, 1e-2, log]'",
]


DISPLAYED = Showing()


def compare(
    context: typer.Context,
    studies: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STUDY]...",
            help="Study file (YAML); a results folder, to go on with its study; or data (csv, xlsx, jsonl, parquet, a "
            "folder, hub:, demo:), as init --run. The demo where none is given; several with --ray.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results, or its URL (s3://BUCKET/FOLDER); results-NAME where none is given."),
    ] = None,
    only: Only = None,
    without: Without = None,
    overrides: Overrides = None,
    text: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Of data: the text column; twice for a pair.")
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="Of data: the label column.")] = None,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Time between checkpoints of a run, as in 30s or 10min; off: none."),
    ] = None,
    workers: Annotated[
        str, typer.Option(metavar="N", help="Runs at once on this machine, or auto: one for each GPU, else for 4 CPUs.")
    ] = "1",
    ray: Ray = None,
    ray_threads: RayThreads = None,
    ray_retries: RayRetries = RETRIES,
    ray_wait: RayWait = WAIT,
    track: Track = None,
    processes: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Processes that train each run together, a share of every batch each; torchrun says it itself.",
        ),
    ] = 1,
    verbose: Verbose = False,
    quiet: Quiet = False,
    as_json: AsEvents = False,
) -> None:
    """Run every model and method of a study, write the report and print what to take.

    Runs that are done already are taken from the folder; the same command resumes an interrupted study, and the run
    that was under way from its last checkpoint.
    """
    from thriftune.study.file.config import load_study
    from thriftune.study.run.team.torchrun import launched

    if (launch := launched()) is not None and launch.rank:
        from thriftune.study.run.team.serving import serve_studies

        serve_studies(launch)
        return
    if checkpoint_every is not None:
        overrides = [*(overrides or ()), f"protocol.checkpoint_every={checkpoint_every}"]
    cluster = cluster_of(ray, ray_threads, ray_retries, ray_wait, workers)
    if studies and len(studies) > 1:
        _check_columns_unused(text, label)
        compare_several(context, studies, out, cluster)
        return
    showing = Showing(verbose, quiet, as_json)
    showing.check()
    with showing.errors(), showing.remarks():
        path, out = _named(studies[0] if studies else None, out, text, label)
        study = load_study(path, overrides or ())
    run_study(
        study,
        out,
        only or (),
        without or (),
        showing,
        workers=workers,
        processes=processes,
        ray=cluster,
        track=track or (),
    )


def _named(
    study: str | None, out: Path | None, text: Sequence[str] | None, label: str | None
) -> tuple[Path | None, Path | None]:
    """The study file that the argument stands for (None: the demo), and the folder for its results."""
    if study is not None and (there := study_there(study)) is not None:
        study, out = str(there.here), out or there.out
    path = None if study is None else user_path(str(Path(study)))
    if path is not None and path.is_dir() and is_results(path):
        _check_columns_unused(text, label)
        return path / "study.yaml", out or path
    if study is not None and is_data(study):
        return study_of(study, None, text or (), label), out
    _check_columns_unused(text, label)
    return path, out


def _check_columns_unused(text: Sequence[str] | None, label: str | None) -> None:
    if text or label:
        raise InputError(
            "--text and --label are for data files. In a study they are --set 'data.text=[COLUMN]' and "
            "--set data.label=COLUMN."
        )


def run_study(
    study: Study,
    out: Path | None,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    showing: Showing = DISPLAYED,
    *,
    workers: str = "1",
    processes: int = 1,
    ray: RaySettings | None = None,
    track: Sequence[str] = (),
) -> None:
    """Runs a study, writes its page and prints what to take; the folder is results-NAME where none is given.

    Raises `typer.Exit`: 1 where some run failed or the results are not where they belong, 130, 143 or 129 where it was
    interrupted (SIGINT, SIGTERM, SIGHUP).
    """
    folder = out or results_folder(study.name)

    from thriftune.comparison import compare_and_analyse, kept_up
    from thriftune.progress import noting
    from thriftune.remote.output import output
    from thriftune.study.start import importing
    from thriftune.tracking.listener import tracked

    try:
        with showing.errors(), showing.listener() as shown, output(folder, noting(shown)) as place:
            with tracked(track, study.name, place.path, kept_up(place, shown)) as listener:
                means: dict[str, Any] = {"workers": workers, "processes": processes, "ray": ray}
                analysis = compare_and_analyse(study, place.path, listener, only=only, without=without, **means)
                with importing():
                    from thriftune.report.render import write_page
                report_path = write_page(analysis)
                listener.report(report_path)
            pushed = place.push()
    except KeyboardInterrupt:
        showing.interrupted(exit_code())
        raise typer.Exit(exit_code()) from None
    except OSError as error:
        if not from_unread(error, sys.stderr):
            raise
        raise typer.Exit(HANGUP) from None  # nobody follows the study any more: as if its terminal had been closed
    code = 1 if place.error is not None or any(run.status != "done" for run in analysis.results.runs) else 0
    try:
        showing.results(analysis, report_path, place.path, pushed, code)
        sys.stdout.flush()
    except OSError as error:
        if not from_unread(error, sys.stdout, sys.stderr):
            raise  # else nobody reads what is printed: the results are on disk
    if code:
        raise typer.Exit(code)
