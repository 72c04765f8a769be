"""`thriftune estimate`: what a study will cost."""

from __future__ import annotations

from typing import Annotated

import typer

from thriftune.cli.options import AsJson, Only, Overrides, StudyFile, Without
from thriftune.cli.output import print_json, working

EXAMPLES = [
    "thriftune estimate",
    "thriftune estimate study.yaml --memory 8GB",
    "thriftune estimate study.yaml --device h100 --batch-size 64 --no-probe",
    "thriftune estimate --model ./my-model --tokens 128 --batch-size 16 --json",
]


def estimate(
    study: StudyFile = None,
    memory: Annotated[
        str | None, typer.Option(help="Say what fits into this, and the largest batch that does: 8GB.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or a GPU's name (h100); where the study would run here, if left out.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the study's.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens of every text; then no data file is read.")] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Instead of the study's; config.json is enough. May be repeated.")
    ] = None,
    probe: Annotated[
        bool, typer.Option(help="Time this machine for some seconds, once, to predict training time.")
    ] = True,
    as_json: AsJson = False,
    only: Only = None,
    without: Without = None,
    overrides: Overrides = None,
) -> None:
    """Predict what every model and method of a study will cost, and which differences it will tell apart.

    No weight is loaded.
    """
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
    cells = forecast.estimate(loaded, question, working)
    from thriftune.analysis.findings import planned

    apart = planned.planned(cells)
    if as_json:
        print_json(forecast.document(loaded, question, cells) | planned.document(apart))
        return
    from thriftune.report.forecast import kept_remark, remarks, rows, search_remark
    from thriftune.terminal import print_table, print_text

    print_table(rows(cells))
    for remark in remarks(cells):
        print_text(remark)
    if sentence := kept_remark(forecast.kept_document(cells)):
        print_text(sentence)
    trials = None if loaded.search is None else loaded.search.trials
    if sentence := search_remark(forecast.search_seconds(loaded, cells), trials):
        print_text(sentence)
    for sentence in planned.sentences(apart):
        print_text(sentence)
