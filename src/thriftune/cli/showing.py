"""What `thriftune compare` shows of a study: a display, nothing, or a JSON object in a line for each event."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thriftune.cli.output import print_summary, say_interrupted
from thriftune.errors import InputError, printable
from thriftune.paths import named

if TYPE_CHECKING:
    from thriftune.analysis.analyse import Analysis
    from thriftune.progress import Listener

Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress: what to take, and errors.")]
AsEvents = Annotated[
    bool,
    typer.Option("--json", help="Print a JSON object in a line for each event, and nothing else (docs/events.md)."),
]


@dataclass(frozen=True)
class Showing:
    """How a study is shown."""

    verbose: bool = False
    quiet: bool = False
    as_json: bool = False

    def check(self) -> None:
        """Raises `InputError` where two ways are asked for at once."""
        asked = [name for name in ("quiet", "verbose") if getattr(self, name)] + ["json"] * self.as_json
        if len(asked) > 1:
            raise InputError(f"--{asked[0]} and --{asked[1]} exclude each other. Give one of them.")

    @contextmanager
    def listener(self) -> Iterator[Listener]:
        """What is told of the study's events."""
        from thriftune.progress import display
        from thriftune.study.lines import JsonLines

        if self.as_json:
            yield JsonLines(_line)
        elif self.quiet:
            yield lambda event: None
        else:
            with display() as shown:
                yield shown

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Inside, an `InputError` is the last line too, where lines are for machines."""
        try:
            yield
        except InputError as error:
            self._ended("error", {"message": str(error), "exit_code": 2})
            raise

    @contextmanager
    def remarks(self) -> Iterator[None]:
        """Inside, what is said of the study file goes to standard error where lines are for machines."""
        with redirect_stdout(sys.stderr) if self.as_json else nullcontext():
            yield

    def interrupted(self, exit_code: int) -> None:
        """Says that the study ends early."""
        text = "Interrupted. What is done is kept, a training up to its last step: the same command resumes."
        self._ended("error", {"message": text, "exit_code": exit_code})
        say_interrupted(text)

    def results(self, analysis: Analysis, page: Path, folder: Path, pushed: str | None, exit_code: int) -> None:
        """Says what to take and where everything is."""
        if self.as_json:
            self._ended("finished", _finished(analysis, page, folder) | {"exit_code": exit_code})
            return
        print_summary(analysis, page, self.verbose)
        _print_best(folder)
        if pushed is not None:
            typer.echo(printable(pushed))

    def _ended(self, name: str, values: dict[str, Any]) -> None:
        from thriftune.study.lines import JsonLines

        if self.as_json:
            JsonLines(_line).write(name, values)


def _line(text: str) -> None:
    print(text, flush=True)


def _finished(analysis: Analysis, page: Path, folder: Path) -> dict[str, Any]:
    from thriftune.analysis.findings.decision import decide, headline
    from thriftune.use.choose import best_seed
    from thriftune.wording import plain

    decision = decide(analysis.results)
    taken = decision.taken
    run = None if taken is None else best_seed(analysis.results, taken.cell.runs)
    return {
        "results": named(folder),
        "report": named(page),
        "take": None if run is None else run.name,
        "why": plain(headline(decision)),
    }


def _print_best(folder: Path) -> None:
    from thriftune.results.store import Store
    from thriftune.use.models.best import Best

    store = Store(folder)
    best = Best.of(store)
    if best is None:
        return
    command = f"thriftune predict {shlex.quote(named(folder))} FILE --out FILE"
    typer.echo(f"Model: {printable(f'{named(store.best_path)} ({best.name})')}, for use: {printable(command)}")
