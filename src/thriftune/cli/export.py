"""`thriftune export`: a trained classifier in the format of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.classifier_options import Source
from thriftune.errors import InputError, readable

EXAMPLES = [
    "thriftune export results --to classifier --format transformers",
    "thriftune export 'results:lora r8 all' --to adapter --format peft",
    "thriftune export results --to classifier-onnx --format onnx --calibrated",
    "thriftune export results --to classifier --format merged --replace --push me/reviews",
]


def export(
    source: Source,
    to: Annotated[
        Path,
        typer.Option(help="Folder for the export; it appears when all is written and checked.", show_default=False),
    ],
    format: Annotated[
        str,
        typer.Option(help="transformers, peft, merged, onnx or sentence-transformers.", show_default=False),
    ],
    replace: Annotated[bool, typer.Option("--replace", help="Replace an earlier export in that folder.")] = False,
    texts: Annotated[
        int, typer.Option(help="Run the export on at most so many of the study's test texts to check it.", min=1)
    ] = 1000,
    calibrated: Annotated[
        bool,
        typer.Option("--calibrated", help="Scale probabilities by the temperature that fits validation (onnx)."),
    ] = False,
    push: Annotated[
        str | None,
        typer.Option(metavar="OWNER/NAME", help="Upload it to the Hugging Face hub then.", show_default=False),
    ] = None,
    public: Annotated[bool, typer.Option("--public", help="With --push: a new model is public, not private.")] = False,
) -> None:
    """Store a classifier as another library loads it, with a model card, checked by running it there.

    Size, time and accuracy are measured with that library alone. What cannot be exported as asked says what can.
    """
    from thriftune.export import hub
    from thriftune.export.checking import Effort
    from thriftune.export.export import check_target
    from thriftune.export.export import export as exported
    from thriftune.export.formats import find as find_format
    from thriftune.terminal import print_table, print_text
    from thriftune.use.calibration import fit_temperature
    from thriftune.use.source import find

    if public and push is None:
        raise InputError("--public is given without --push. Add --push OWNER/NAME, or leave it out.")
    find_format(format)
    check_target(to, replace)
    if push is not None:
        hub.check_name(push)
        hub.check_token()
    found = find(source)
    temperature = None
    if calibrated:
        if found.run is not None and found.labels is not None:
            temperature = fit_temperature(found.run, found.labels)
        if temperature is None:
            raise InputError(
                f"{found.name} cannot be calibrated: there are no validation predictions beside it. Leave out "
                "--calibrated."
            )
    made = exported(
        found, to, format, replace_old=replace, temperature=temperature, effort=Effort(texts=texts), say=_say
    )
    print_table(made.table())
    for sentence in made.sentences():
        print_text(sentence)
    if push is not None:
        place = hub.push(made.folder, push, public=public, say=_say)
        print_text(f"Uploaded: {place}" + ("" if public else " (private, if it is new)"))


def _say(text: str) -> None:
    typer.echo(readable(text), err=True)
