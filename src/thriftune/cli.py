"""The `thriftune` command: reads arguments, calls the library, prints.

Exit codes: 0 all done; 1 some run failed; 2 the input was wrong; 130 interrupted.
"""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from thriftune.errors import InputError

if TYPE_CHECKING:
    from thriftune.results.store import Results

COMPARE_EXAMPLES = """\b
Examples:
  thriftune compare
  thriftune compare study.yaml --out results
  thriftune compare study.yaml --out quick --set protocol.epochs=1 --set data.limit.train=500
  thriftune compare study.yaml --set methods.0.lora.rank=4 --set 'seeds=[0, 1, 2]'
"""
REPORT_EXAMPLES = """\b
Examples:
  thriftune report results
"""
INIT_EXAMPLES = """\b
Examples:
  thriftune init reviews.csv
  thriftune init reviews.csv --out reviews.yaml
"""
METHODS_EXAMPLES = """\b
Examples:
  thriftune methods
  thriftune methods lora
  thriftune methods lora --json
"""


class _Group(TyperGroup):
    """Turns `InputError` into its message and exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.echo(f"Error: {error}", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    cls=_Group,
    help="Which fine-tuning method earns its cost on your classifier, your data, your hardware: measured.",
    epilog="\b\nExamples:\n  thriftune --help\n  thriftune compare --help\n",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """The console script."""
    app()


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


@app.command(epilog=COMPARE_EXAMPLES)
def compare(
    study: Annotated[
        Path | None, typer.Argument(help="Study file (YAML); the demo where none is given.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; results-NAME where none is given.", show_default=False),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a key of the study file (YAML value).", show_default=False
        ),
    ] = None,
) -> None:
    """Run every model and method of a study, write the report and print the verdicts.

    Runs that are done already are taken from the folder; the same command resumes an interrupted study.
    """
    from thriftune.study.config import load_study

    loaded = load_study(study, overrides or ())
    folder = out or Path(f"results-{_slug(loaded.name)}")

    from thriftune.progress import display
    from thriftune.report.render import write_report
    from thriftune.study.execute import compare as run_study

    try:
        with display() as listener:
            results = run_study(loaded, folder, listener)
        report_path = write_report(folder)
    except KeyboardInterrupt:
        typer.echo("\nInterrupted. What is done is kept: the same command resumes.", err=True)
        raise typer.Exit(130) from None
    _print_summary(results, report_path)
    if any(run.status != "done" for run in results.runs):
        raise typer.Exit(1)


@app.command(epilog=REPORT_EXAMPLES)
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `thriftune compare --out` wrote.")],
) -> None:
    """Rebuild the report of a finished study; needs no model."""
    from thriftune.report.render import write_report

    typer.echo(f"Report: {write_report(folder)}")


@app.command(epilog=INIT_EXAMPLES)
def init(
    source: Annotated[
        str, typer.Argument(help="Data file or folder (csv, tsv, jsonl, parquet), hub:OWNER/NAME or demo:NAME.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Study file to write; NAME.yaml in this folder where none is given.", show_default=False),
    ] = None,
) -> None:
    """Look at a data file and write a study file for it, saying what was guessed."""
    from thriftune.data.inspect import guess
    from thriftune.results.store import write_text
    from thriftune.study.draft import draft

    name = _slug(Path(source.replace(":", "-")).resolve().name.split(".")[0])
    path = out or Path(f"{name}.yaml")
    if path.exists():
        raise InputError(f"{path} exists already; name another file with --out, or remove it.")
    guessed = guess(source)
    write_text(path, draft(guessed, name, path.resolve().parent))
    for reason in guessed.reasons:
        typer.echo(f"- {reason}")
    typer.echo(f"Wrote {path}. Check it, then run: thriftune compare {path}")


@app.command(epilog=METHODS_EXAMPLES)
def methods(
    name: Annotated[str | None, typer.Argument(help="A method, to see its settings alone.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the methods with their settings and defaults."""
    import json

    from thriftune.methods import discover, find
    from thriftune.study.reference import method_reference

    chosen = [find(name)] if name else list(discover().values())
    entries = [method_reference(method) for method in chosen]
    if as_json:
        typer.echo(json.dumps(entries, indent=1, ensure_ascii=False))
        return
    for entry in entries:
        typer.echo(f"\n{entry['name']}: {entry['summary']} ({entry['source']})")
        for key in entry["settings"]:
            typer.echo(f"  {key['key']:<14} {key['default']:<8}  {key['help']} ({key['type']})")


def _slug(text: str) -> str:
    """A study's name as part of a file name, whatever it holds."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.") or "study"


def _print_summary(results: Results, report_path: Path) -> None:
    from thriftune.progress import print_table, print_text
    from thriftune.report.table import (
        summary_notes,
        summary_remarks,
        summary_rows,
        summary_sentences,
        verdict_sentences,
    )

    print_table(summary_rows(results))
    for remark in summary_remarks(results):
        print_text(remark)
    for sentence in [*summary_sentences(results), *summary_notes(results)]:
        print_text(f"\n{sentence}")
    for number, sentence in enumerate(verdict_sentences(results)):
        print_text(sentence if number else f"\nVerdicts:\n{sentence}")
    for run in results.runs:
        if run.status != "done":
            typer.echo(f"\n{run.name}: {run.status.replace('_', ' ')}. {run.message or ''}".rstrip(), err=True)
    typer.echo(f"\nReport: {report_path}")


if __name__ == "__main__":
    main()
