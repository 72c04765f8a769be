"""`thriftune recommend`: which method to take under limits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.cli.options import AsJson
from thriftune.cli.output import print_json, print_training, working
from thriftune.errors import InputError

if TYPE_CHECKING:
    from thriftune.analysis.findings.choice import Candidate
    from thriftune.results.store import Results

EXAMPLES = [
    "thriftune recommend results",
    "thriftune recommend results --memory 8GB --time 10min --tasks 5",
    "thriftune recommend results --latency 20ms",
    "thriftune recommend study.yaml --memory 500MB --json",
]
MOST_TASKS = 1_000_000_000


def recommend(
    source: Annotated[
        Path,
        typer.Argument(help="Folder that `thriftune compare --out` wrote (measured), or a study file (predicted)."),
    ],
    memory: Annotated[str | None, typer.Option(help="The most peak memory that training may need: 8GB.")] = None,
    time: Annotated[
        str | None, typer.Option(help="The longest that training one task may take: 90s, 10min, 2h.")
    ] = None,
    latency: Annotated[
        str | None, typer.Option(help="The longest that labelling one text may take, as measured here: 20ms.")
    ] = None,
    tasks: Annotated[int, typer.Option(help="Tasks to train on one pretrained model; storage counts them all.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Rank methods under limits and say why, from measurements where there are some."""
    from dataclasses import asdict

    from thriftune.amounts import parse_bytes, parse_latency, parse_seconds
    from thriftune.analysis.findings.choice import Limits, advise, reasons
    from thriftune.analysis.findings.decision import statistics

    if not 1 <= tasks <= MOST_TASKS:
        raise InputError(f"There is at least one task, and at most {MOST_TASKS:,}; {tasks} were given.")
    limits = Limits(
        memory_bytes=None if memory is None else parse_bytes(memory),
        seconds=None if time is None else parse_seconds(time),
        latency_seconds=None if latency is None else parse_latency(latency),
        tasks=tasks,
    )
    candidates, training, results = _candidates(source)
    advice = advise(candidates, limits, results)
    ranked, sentences = advice.ranked, reasons(advice)
    if as_json:
        cells = [asdict(each) | {"storage_bytes": each.candidate.storage(tasks)} for each in ranked]
        careful, command = training
        document = {
            "limits": asdict(limits),
            "reasons": [*sentences, *careful],
            "at_this_budget": bool(careful),
            "command": command,
            "decision": None if advice.decision is None else statistics(advice.decision),
            "cells": cells,
        }
        print_json(document)
        return
    from thriftune.report.printed.table import recommendation_rows
    from thriftune.terminal import print_table, print_text

    print_table(recommendation_rows(ranked, tasks))
    for sentence in sentences:
        print_text(f"\n{sentence}")
    print_training(*training)


def _candidates(source: Path) -> tuple[list[Candidate], tuple[list[str], str | None], Results | None]:
    """What can be chosen from: a folder's measured methods and those only estimated, or a study file's estimates.

    Beside them what must be said of runs that were still improving (`summary_training`), and the folder's results.
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
        from thriftune.report.printed.table import summary_training

        return [*measured(results), *unmeasured(results)], summary_training(results), results
    from thriftune.study.file.config import load_study
    from thriftune.study.forecast.estimate import Question, estimate

    cells = estimate(load_study(source), Question(), working)
    return [predicted(cell.name, cell.model, cell.predicted) for cell in cells], ([], None), None
