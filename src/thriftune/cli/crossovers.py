"""`thriftune crossovers`: from where on which method costs less."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.options import AsJson
from thriftune.cli.output import print_json, working

EXAMPLES = [
    "thriftune crossovers",
    "thriftune crossovers --axis tokens --tokens 128 --out crossovers",
    "thriftune crossovers --model demo:minilm --out out/demo",
    "thriftune crossovers --axis size --device h100 --json",
]


def crossovers(
    axis: Annotated[
        list[str] | None,
        typer.Option(help="tokens (per batch), depth or size (of the model); all three where none is given."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="For tokens and depth; config.json is enough. BERT-base where none is given.")
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Texts per batch, for depth and size.")] = 32,
    tokens: Annotated[int, typer.Option(help="Tokens of every text.")] = 64,
    device: Annotated[str, typer.Option(help="cpu, cuda or a GPU's name (h100).")] = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the charts (SVG) and crossovers.json; in that of a study, its report shows them."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Predict where the methods' memory and time cross over batch, depth and model size; takes some minutes."""
    from thriftune.analysis.findings.crossings import build
    from thriftune.cost.predicted.crossovers import Setting, axis_points
    from thriftune.cost.predicted.cuda import find_gpu
    from thriftune.cost.predicted.speeds import known_machine
    from thriftune.errors import unknown_name
    from thriftune.models.pretrained.sources import resolve_model
    from thriftune.paths import check_new_folder
    from thriftune.results.plain import values_of
    from thriftune.results.prediction import AXES, Axis, Crossovers

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
    found = {name: axis_points(name, setting, working) for name in dict.fromkeys(axis or AXES)}
    panels = {name: build(name, points) for name, points in found.items()}
    held = setting.sentence(model, device)
    axes = {name: Axis(panels[name].sentences, points) for name, points in found.items()}
    document = values_of(Crossovers(held, axes))
    if out is not None:
        from thriftune.report.render import write_figures
        from thriftune.results.files import write_json
        from thriftune.results.store import Store

        write_json(Store(out).crossovers_path, document)
        for panel in panels.values():
            write_figures(Store(out).figures_path, panel.charts)
    if as_json:
        print_json(document)
        return
    from thriftune.report.printed.table import panel_rows
    from thriftune.terminal import print_table, print_text

    print_text(f"\n{held}")
    for panel in panels.values():
        for table in panel.tables:
            print_text(f"\n{table.caption}")
            print_table(panel_rows(table))
        for sentence in [*panel.sentences, *panel.notes]:
            print_text(f"\n{sentence}")
