"""The `thriftune` command: reads arguments, calls the library, prints.

Exit codes: 0 all done; 1 some run failed; 2 the input was wrong; 130 interrupted (Ctrl-C, SIGTERM, a closed terminal).
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from thriftune.endings import deaf, drop, flush_or_drop, from_unread, interruptible
from thriftune.errors import InputError, printable, readable
from thriftune.processors import wait_briefly

if TYPE_CHECKING:
    from thriftune.analysis.analyse import Analysis
    from thriftune.analysis.findings.choice import Candidate

COMPARE_EXAMPLES = """\b
Examples:
  thriftune compare
  thriftune compare study.yaml --out results
  thriftune compare study.yaml --out quick --set protocol.epochs=1 --set data.limit.train=500
  thriftune compare study.yaml --set methods.0.lora.rank=4 --set 'seeds=[0, 1, 2]'
  thriftune compare study.yaml --set 'protocol.batch_size=[8, 16, 32]' --without full
  thriftune compare study.yaml --set search.trials=20 --set 'search.over.learning_rate=[1e-5, 1e-2, log]'
"""
ESTIMATE_EXAMPLES = """\b
Examples:
  thriftune estimate
  thriftune estimate study.yaml --memory 8GB
  thriftune estimate study.yaml --device h100 --batch-size 64 --no-probe
  thriftune estimate --model ./my-model --tokens 128 --batch-size 16 --json
"""
REPORT_EXAMPLES = """\b
Examples:
  thriftune report results
"""
RECOMMEND_EXAMPLES = """\b
Examples:
  thriftune recommend results
  thriftune recommend results --memory 8GB --time 10min --tasks 5
  thriftune recommend study.yaml --memory 500MB --json
"""
CROSSOVERS_EXAMPLES = """\b
Examples:
  thriftune crossovers
  thriftune crossovers --axis tokens --tokens 128 --out crossovers
  thriftune crossovers --model demo:minilm --out out/demo
  thriftune crossovers --axis size --device h100 --json
"""
INIT_EXAMPLES = """\b
Examples:
  thriftune init reviews.csv
  thriftune init reviews.csv --out reviews.yaml
  thriftune init reviews.csv --text review --label mood
"""
METHODS_EXAMPLES = """\b
Examples:
  thriftune methods
  thriftune methods lora
  thriftune methods lora --json
"""
CACHE_EXAMPLES = """\b
Examples:
  thriftune cache
  thriftune cache --json
  thriftune cache --clear
"""

MOST_TASKS = 1_000_000_000

StudyFile = Annotated[
    Path | None, typer.Argument(help="Study file (YAML); the demo where none is given.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a key of the study file (YAML value).", show_default=False
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RUN",
        help="Make this run alone; may be repeated, and hold * (all with BERT: 'BERT*').",
        show_default=False,
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(metavar="RUN", help="Leave this run out; may be repeated, and hold *.", show_default=False),
]


class _Group(TyperGroup):
    """Turns `InputError` into its message and exit code 2, an interrupt into 130, unread output into a quiet end."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            typer.echo(readable(f"Error: {error}"), err=True)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            _say_interrupted("Interrupted.")
            raise typer.Exit(130) from None
        except OSError as error:
            if not from_unread(error, sys.stdout):
                raise
            raise typer.Exit(0) from None  # as with `| head`: who reads has had enough


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
    wait_briefly(os.environ)
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
        code = 130
        drop(sys.stdout)
    deaf()
    sys.exit(code)


def _say_interrupted(text: str) -> None:
    with suppress(OSError):  # a terminal that was closed
        typer.echo(f"\n{text}", err=True)


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
    study: StudyFile = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; results-NAME where none is given.", show_default=False),
    ] = None,
    only: Only = None,
    without: Without = None,
    overrides: Overrides = None,
) -> None:
    """Run every model and method of a study, write the report and print the verdicts.

    Runs that are done already are taken from the folder; the same command resumes an interrupted study.
    """
    from thriftune.study.file.config import load_study

    loaded = load_study(study, overrides or ())
    folder = out or Path(f"results-{_slug(loaded.name)}")

    from thriftune.comparison import compare_and_analyse
    from thriftune.report.render import write_page
    from thriftune.terminal import display

    try:
        with display() as listener:
            analysis = compare_and_analyse(loaded, folder, listener, only=only or (), without=without or ())
        report_path = write_page(analysis)
    except KeyboardInterrupt:
        _say_interrupted("Interrupted. What is done is kept: the same command resumes.")
        raise typer.Exit(130) from None
    except OSError as error:
        if not from_unread(error, sys.stderr):
            raise
        raise typer.Exit(130) from None  # nobody follows the study any more: as if its terminal had been closed
    with _reader_may_leave():
        _print_summary(analysis, report_path)
    if any(run.status != "done" for run in analysis.results.runs):
        raise typer.Exit(1)


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """What is printed inside may go unread: the results are on disk."""
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        if not from_unread(error, sys.stdout, sys.stderr):
            raise


@app.command(epilog=ESTIMATE_EXAMPLES)
def estimate(
    study: StudyFile = None,
    memory: Annotated[
        str | None,
        typer.Option(help="Say what fits into this, and the largest batch that does: 8GB.", show_default=False),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda or a GPU's name (h100); where the study would run here, if left out."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the study's.", show_default=False)] = None,
    tokens: Annotated[
        int | None, typer.Option(help="Tokens of every text; then no data file is read.", show_default=False)
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Instead of the study's; config.json is enough. May be repeated.", show_default=False),
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Time this machine for some seconds, once, to predict training time.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    only: Only = None,
    without: Without = None,
    overrides: Overrides = None,
) -> None:
    """Predict what every model and method of a study will cost, before any weight is loaded."""
    import json

    from thriftune.amounts import parse_bytes
    from thriftune.study.file.config import load_study
    from thriftune.study.forecast import estimate as forecast

    question = forecast.Question(
        device=device,
        memory_bytes=None if memory is None else parse_bytes(memory),
        batch_size=batch_size,
        tokens=tokens,
        models=tuple(model or ()),
        probe=probe,
        only=tuple(only or ()),
        without=tuple(without or ()),
    )
    loaded = load_study(study, overrides or ())
    cells = forecast.estimate(loaded, question, lambda text: typer.echo(f"{text} ...", err=True))
    if as_json:
        typer.echo(json.dumps(forecast.document(loaded, question, cells), indent=1, ensure_ascii=False))
        return
    from thriftune.report.forecast import remarks, rows, search_remark
    from thriftune.terminal import print_table, print_text

    print_table(rows(cells))
    for remark in remarks(cells):
        print_text(remark)
    trials = None if loaded.search is None else loaded.search.trials
    if sentence := search_remark(forecast.search_seconds(loaded, cells), trials):
        print_text(sentence)


@app.command(epilog=REPORT_EXAMPLES)
def report(
    folder: Annotated[Path, typer.Argument(help="Folder that `thriftune compare --out` wrote.")],
) -> None:
    """Rebuild the report of a finished study; needs no model."""
    from thriftune.report.render import write_report

    typer.echo(f"Report: {write_report(folder)}")


@app.command(epilog=RECOMMEND_EXAMPLES)
def recommend(
    source: Annotated[
        Path,
        typer.Argument(help="Folder that `thriftune compare --out` wrote (measured), or a study file (predicted)."),
    ],
    memory: Annotated[
        str | None, typer.Option(help="The most peak memory that training may need: 8GB.", show_default=False)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(help="The longest that training one task may take: 90s, 10min, 2h.", show_default=False),
    ] = None,
    tasks: Annotated[int, typer.Option(help="Tasks to train on one pretrained model; storage counts them all.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Rank methods under limits and say why, from measurements where there are some."""
    import json
    from dataclasses import asdict

    from thriftune.amounts import parse_bytes, parse_seconds
    from thriftune.analysis.findings.choice import Limits, rank, reasons

    if not 1 <= tasks <= MOST_TASKS:
        raise InputError(f"There is at least one task, and at most {MOST_TASKS:,}; {tasks} were given.")
    limits = Limits(
        memory_bytes=None if memory is None else parse_bytes(memory),
        seconds=None if time is None else parse_seconds(time),
        tasks=tasks,
    )
    candidates, training = _candidates(source)
    ranked = rank(candidates, limits)
    sentences = reasons(ranked, limits)
    if as_json:
        cells = [asdict(each) | {"storage_bytes": each.candidate.storage(tasks)} for each in ranked]
        careful, command = training
        document = {
            "limits": asdict(limits),
            "reasons": [*sentences, *careful],
            "at_this_budget": bool(careful),
            "command": command,
            "cells": cells,
        }
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False))
        return
    from thriftune.report.table import recommendation_rows
    from thriftune.terminal import print_table, print_text

    print_table(recommendation_rows(ranked, tasks))
    for sentence in sentences:
        print_text(f"\n{sentence}")
    _print_training(*training)


def _candidates(source: Path) -> tuple[list[Candidate], tuple[list[str], str | None]]:
    """What can be chosen from: a folder's measured cells and those only estimated, or a study file's estimates.

    Beside them what must be said of runs that were still improving (`summary_training`).
    """
    import stat

    from thriftune.analysis.findings.choice import measured, predicted, unmeasured
    from thriftune.paths import status, user_path
    from thriftune.results.soundness import check_results
    from thriftune.results.store import Store

    found = status(user_path(str(source)))
    if found is None and source.suffix not in (".yaml", ".yml"):
        raise InputError(f"There is no {source}. Give a folder that `thriftune compare --out` wrote, or a study file.")
    if found is not None and stat.S_ISDIR(found.st_mode):
        results = Store(source).load()
        check_results(results)
        from thriftune.report.table import summary_training

        return [*measured(results), *unmeasured(results)], summary_training(results)
    from thriftune.study.file.config import load_study
    from thriftune.study.forecast.estimate import Question, estimate

    cells = estimate(load_study(source), Question(), lambda text: typer.echo(f"{text} ...", err=True))
    return [predicted(cell.name, cell.model, cell.predicted) for cell in cells], ([], None)


@app.command(epilog=CROSSOVERS_EXAMPLES)
def crossovers(
    axis: Annotated[
        list[str] | None,
        typer.Option(help="tokens (per batch), depth or size (of the model); all three where none is given."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="For tokens and depth; config.json is enough. BERT-base where none is given."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Texts per batch, for depth and size.")] = 32,
    tokens: Annotated[int, typer.Option(help="Tokens of every text.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda or a GPU's name (h100).")] = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the charts (SVG) and crossovers.json; in that of a study, its report shows them.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Predict where the methods' memory and time cross over batch, depth and model size; takes some minutes."""
    import json
    from dataclasses import asdict

    from thriftune.analysis.findings.crossings import build
    from thriftune.cost.predicted.crossovers import AXES, Setting, axis_points
    from thriftune.cost.predicted.cuda import find_gpu
    from thriftune.errors import unknown_name
    from thriftune.models.pretrained.sources import resolve_model
    from thriftune.paths import check_new_folder
    from thriftune.study.forecast.predictor import known_machine

    for name in axis or ():
        if name not in AXES:
            raise unknown_name("axis", name, AXES)
    if out is not None:
        check_new_folder(out)
    setting = Setting(
        model=None if model is None else resolve_model(model, Path(), weights=False),
        batch_size=batch_size,
        text_tokens=tokens,
        gpu=None if device.lower() == "cpu" else find_gpu(device),
        machine=(lambda folder: known_machine("cpu", folder)) if device.lower() == "cpu" else None,
    )
    setting.check()
    found = {
        name: axis_points(name, setting, lambda text: typer.echo(f"{text} ...", err=True))
        for name in dict.fromkeys(axis or AXES)
    }
    panels = {name: build(name, points) for name, points in found.items()}
    held = setting.sentence(model, device)
    axes = {
        name: {"sentences": panels[name].sentences, "points": [asdict(point) for point in points]}
        for name, points in found.items()
    }
    document = {"setting": held, "axes": axes}
    if out is not None:
        from thriftune.report.render import write_figures
        from thriftune.results.files import write_json
        from thriftune.results.store import Store

        write_json(Store(out).crossovers_path, document)
        for panel in panels.values():
            write_figures(Store(out).figures_path, panel.charts)
    if as_json:
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False))
        return
    from thriftune.report.table import panel_rows
    from thriftune.terminal import print_table, print_text

    print_text(f"\n{held}")
    for panel in panels.values():
        for table in panel.tables:
            print_text(f"\n{table.caption}")
            print_table(panel_rows(table))
        for sentence in [*panel.sentences, *panel.notes]:
            print_text(f"\n{sentence}")


@app.command(epilog=INIT_EXAMPLES)
def init(
    source: Annotated[
        str, typer.Argument(help="Data file or folder (csv, xlsx, jsonl, parquet, ...), hub:OWNER/NAME or demo:NAME.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Study file to write; NAME.yaml in this folder where none is given.", show_default=False),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="The text column; twice for a pair.", show_default=False),
    ] = None,
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="The label column.", show_default=False)] = None,
    probe: Annotated[
        bool, typer.Option(help="Time this machine for some seconds, once, to say how long the study takes.")
    ] = True,
) -> None:
    """Look at a data file and write a study file that fits it, with reasons and times."""
    from thriftune.data.guess.inspect import guess
    from thriftune.paths import check_new_file
    from thriftune.results.files import write_text
    from thriftune.study.proposal.draft import MODEL, draft
    from thriftune.study.proposal.initial import initial
    from thriftune.study.proposal.max_tokens import room

    name = _slug(Path(os.path.abspath(source.replace(":", "-").replace("\0", "-"))).name.split(".")[0])
    path = out or Path(f"{name}.yaml")
    check_new_file(path)
    guessed = guess(source, text or (), label)
    space = room(guessed.texts, MODEL)
    proposal = initial(guessed, space, MODEL, probe, lambda text: typer.echo(f"{text} ...", err=True))
    try:
        write_text(path, draft(guessed, space, proposal, name, path.resolve().parent))
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error.strerror}). Name another file with --out.") from error
    for reason in [*guessed.reasons, space.reason, *proposal.reasons]:
        typer.echo(f"- {printable(reason)}")
    for warning in guessed.warnings:
        typer.echo(f"! {printable(warning.text)}")
    if guessed.problem:
        typer.echo(f"! As they are, compare refuses these data: {printable(guessed.problem)}")
    typer.echo(f"Wrote {path}. Check it, then run: thriftune compare {path}")


@app.command(epilog=METHODS_EXAMPLES)
def methods(
    name: Annotated[str | None, typer.Argument(help="A method, to see its settings alone.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the methods with their settings and defaults."""
    import json

    from thriftune.methods import discover, find
    from thriftune.study.file.reference import method_reference

    chosen = [find(name)] if name else list(discover().values())
    entries = [method_reference(method) for method in chosen]
    if as_json:
        typer.echo(json.dumps(entries, indent=1, ensure_ascii=False))
        return
    for entry in entries:
        typer.echo(f"\n{entry['name']}: {entry['summary']} ({entry['source']})")
        for key in entry["settings"]:
            typer.echo(f"  {key['key']:<14} {key['default']:<8}  {key['help']} ({key['type']})")


@app.command(epilog=CACHE_EXAMPLES)
def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete what is kept; running studies go on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show or clear the kept outputs of frozen layers, which studies share.

    THRIFTUNE_CACHE names another folder for them.
    """
    import json

    from thriftune.engine.frozen.cache import PrefixCache
    from thriftune.folders import cache_folder

    kept = PrefixCache(cache_folder() / "prefixes")
    summary = kept.summary(kept.clear() if clear else kept.entries())
    if as_json:
        typer.echo(json.dumps({"deleted": clear, **summary}, indent=1, ensure_ascii=False))
        return
    _print_cache(summary, deleted=clear)


def _print_cache(summary: dict[str, Any], deleted: bool) -> None:
    from thriftune.terminal import print_table
    from thriftune.wording import count, plural, seconds, size

    entries, folder = summary["entries"], summary["folder"]
    limit, total = size(summary["limit_bytes"]), size(summary["total_bytes"])
    if not entries:
        typer.echo(f"No outputs of frozen layers are kept in {folder} (at most {limit}).")
        return
    if deleted:
        typer.echo(f"Deleted {plural(len(entries), 'file')} ({total}) from {folder}.")
        return

    def known(value: Any, words: Any) -> str:
        return "unknown" if value is None else words(value)

    rows = [
        {
            "Model": known(entry["model"], str),
            "Lowest layers": known(entry["layer"], str),
            "Texts": known(entry["texts"], count),
            "Tokens": known(entry["tokens"], count),
            "Took": known(entry["seconds"], seconds),
            "Size": size(entry["bytes"]),
            "Last used": f"{_age(entry['age_seconds'])} ago",
            "File": entry["file"],
        }
        for entry in entries
    ]
    print_table(rows)
    typer.echo(f"{plural(len(entries), 'file')}, {total} of at most {limit}, in {folder}")


def _age(seconds: float) -> str:
    from thriftune.wording import plural

    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            return plural(int(seconds // length), unit)
    return plural(int(seconds), "second")


def _slug(text: str) -> str:
    """A study's name as part of a file name, whatever it holds and however long it is."""
    kept = re.sub(r"[^\w.-]+", "-", text).encode("utf-8", "ignore")[:100].decode("utf-8", "ignore")
    return kept.strip("-.") or "study"


def _print_training(sentences: list[str], command: str | None) -> None:
    """Which runs were still improving, and the command that would tell on a line of its own, to be copied."""
    from thriftune.terminal import print_text

    for number, sentence in enumerate(sentences):
        print_text(sentence if number else f"\n{sentence}")
    if command is not None:
        typer.echo(f"  {printable(command)}")


def _print_summary(analysis: Analysis, report_path: Path) -> None:
    from thriftune.report.table import (
        search_lines,
        summary_notes,
        summary_remarks,
        summary_rows,
        summary_sentences,
        summary_training,
        verdict_sentences,
    )
    from thriftune.terminal import print_table, print_text

    print_table(summary_rows(analysis))
    for remark in summary_remarks(analysis):
        print_text(remark)
    _print_training(*summary_training(analysis.results))
    for sentence in [*summary_sentences(analysis), *summary_notes(analysis)]:
        print_text(f"\n{sentence}")
    for number, line in enumerate(search_lines(analysis)):
        print_text(line if number else f"\nSearch:\n{line}")
    for number, sentence in enumerate(verdict_sentences(analysis)):
        print_text(sentence if number else f"\nVerdicts:\n{sentence}")
    for run in analysis.results.runs:
        if run.status != "done":
            typer.echo(
                f"\n{run.name}: {run.status.replace('_', ' ')}. {printable(run.message or '')}".rstrip(), err=True
            )
    typer.echo(f"\nReport: {report_path}")
