"""`thriftune recommend`: which method to take under limits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.options import AsJson
from thriftune.cli.output import print_json, print_training, working

EXAMPLES = [
    "thriftune recommend results",
    "thriftune recommend results --memory 8GB --time 10min --tasks 5",
    "thriftune recommend results --latency 20ms",
    "thriftune recommend study.yaml --memory 500MB --json",
]


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

    from thriftune.analysis.findings.choice import reasons
    from thriftune.analysis.findings.decision import statistics
    from thriftune.python.advice import advised, limits_of

    found = advised(source, limits_of(memory=memory, time=time, latency=latency, tasks=tasks), working)
    advice, ranked = found.advice, found.advice.ranked
    if as_json:
        cells = [asdict(each) | {"storage_bytes": each.candidate.storage(tasks)} for each in ranked]
        document = {
            "limits": asdict(advice.limits),
            "reasons": list(found.reasons),
            "at_this_budget": bool(found.careful),
            "command": found.command,
            "decision": None if advice.decision is None else statistics(advice.decision),
            "cells": cells,
        }
        print_json(document)
        return
    from thriftune.report.printed.table import recommendation_rows
    from thriftune.terminal import print_table, print_text

    print_table(recommendation_rows(ranked, tasks))
    for sentence in reasons(advice):
        print_text(f"\n{sentence}")
    print_training(list(found.careful), found.command)
