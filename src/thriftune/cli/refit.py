"""`thriftune refit`: a run's method trained once more for use, on more rows."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thriftune.cli.options import ResultsFolder
from thriftune.cli.output import say_interrupted
from thriftune.endings import exit_code
from thriftune.errors import printable

if TYPE_CHECKING:
    from thriftune.results.record import RunRecord
    from thriftune.results.store import Results

EXAMPLES = [
    "thriftune refit results",
    "thriftune refit results lora",
    "thriftune refit results lora --all",
]


def refit(
    folder: ResultsFolder,
    run: Annotated[
        str | None, typer.Argument(help="A run's name; the promoted or recommended one where none is given.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Train on the test texts too.")] = False,
) -> None:
    """Train a run's method once more on train + validation, for use.

    Settings, epochs, learning rate and penalties are those that the study chose. No test score belongs to the model:
    what to expect is the study's. FOLDER:refit names it in predict and the other commands.
    """
    from thriftune.export.card import card
    from thriftune.paths import check_folder
    from thriftune.progress import display
    from thriftune.results.models.refitted import Refitted
    from thriftune.results.store import Store
    from thriftune.study.refit import refit as train
    from thriftune.terminal import print_text
    from thriftune.use.models.refit_card import write_card

    check_folder(folder, "the folder that `thriftune compare --out` wrote")
    results = Store(folder).load()
    record = _chosen(results, run)
    try:
        with display() as listener:
            made = train(results, record, _expected(results, record), everything, listener)
    except KeyboardInterrupt:
        say_interrupted("Interrupted. Nothing is changed.")
        raise typer.Exit(exit_code()) from None
    about = Refitted.read(made)
    assert about is not None
    write_card(made, about, results, record, card)
    for sentence in about.sentences():
        print_text(sentence)
    path = made.relative_to(results.store.path)
    command = f"thriftune predict {shlex.quote(f'{folder}:{path.as_posix()}')} FILE --out FILE"
    typer.echo(printable(f"Model: {made / 'model'}, for use: {command}"))


def _chosen(results: Results, run: str | None) -> RunRecord:
    from thriftune.errors import InputError
    from thriftune.use import choose
    from thriftune.use.models.best import Best

    if run is not None:
        return choose.named(results, run)
    best = Best.of(results.store)
    if best is None or not best.promoted:
        return choose.recommended(results)
    found = next((each for each in results.done if each.run_id == best.run_id), None)
    if found is None:
        raise InputError(f"{best.name}, which was promoted, is no longer a run of the study. Name a run.")
    return found


def _expected(results: Results, record: RunRecord) -> dict[str, Any]:
    from thriftune.analysis.findings.runs import interval

    assert record.test is not None
    return {
        "of": record.name,
        "accuracy": record.test.accuracy,
        "accuracy_interval_95": list(interval(record.test)),
        "macro_f1": record.test.macro_f1,
        "test_texts": record.test.texts,
    }
