"""The commands under one name, and how they end."""

from __future__ import annotations

import gc
import importlib.metadata
import os
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from thriftune.cli import (
    cache,
    compare,
    crossovers,
    doctor,
    estimate,
    evaluate,
    export,
    init,
    methods,
    predict,
    promote,
    recommend,
    refit,
    report,
    runs,
    serve,
    status,
    work,
)
from thriftune.cli.output import say_interrupted
from thriftune.endings import deaf, drop, exit_code, flush_or_drop, from_unread, interruptible
from thriftune.errors import InputError, readable
from thriftune.processors import bound_caches, wait_briefly


class _Commands(TyperGroup):
    """Turns `InputError` into its message and exit code 2, an interrupt into its code, unread output into silence."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.echo(readable(f"Error: {error}"), err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say_interrupted("Interrupted.")
            raise typer.Exit(exit_code()) from None
        except OSError as error:
            if not from_unread(error, sys.stdout):
                raise
            raise typer.Exit(0) from None  # as with `| head`: who reads has had enough


def _epilog(examples: list[str]) -> str:
    return "\n  ".join(["\b\nExamples:", *examples]) + "\n"


app = typer.Typer(
    cls=_Commands,
    help="Which fine-tuning method earns its cost on your classifier, your data, your hardware: measured.",
    epilog=_epilog(["thriftune --help", "thriftune compare --help"]),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


PREDICTING = ("predict", "evaluate", "serve")
"""Commands that predict any number of texts."""


def main() -> None:
    """The console script."""
    wait_briefly(os.environ)
    if sys.argv[1:] and sys.argv[1] in PREDICTING:
        bound_caches(os.environ)
    code: Any = 0
    try:
        with interruptible():
            try:
                app()
            except SystemExit as end:
                code = end.code
            flush_or_drop(sys.stdout)
            flush_or_drop(sys.stderr)
    except KeyboardInterrupt:
        code = exit_code()
        drop(sys.stdout)
    deaf()
    gc.freeze()  # else the interpreter looks through all that was imported once more, for a second
    sys.exit(code)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thriftune {importlib.metadata.version('thriftune')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


for _file in (
    *(init, compare, work, status, estimate, report, recommend, runs, promote, refit, predict, evaluate, export, serve),
    *(crossovers, methods, cache, doctor),
):
    _name = _file.__name__.rpartition(".")[2]
    app.command(_name, epilog=_epilog(_file.EXAMPLES))(getattr(_file, _name))
