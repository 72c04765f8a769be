"""`thriftune evaluate`: scores a trained classifier on a file with labels."""

from __future__ import annotations

from typing import Annotated

import typer

from thriftune.cli.classifier_options import Format, LabelFile, Source, TextColumn

EXAMPLES = [
    "thriftune evaluate results labelled.csv",
    "thriftune evaluate results:full labelled.jsonl --text review --label stars --json",
]


def evaluate(
    source: Source,
    file: LabelFile,
    text: TextColumn = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the labels, if not called as in training.", show_default=False),
    ] = None,
    format: Format = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Score a classifier on a file with labels: accuracy with its interval, macro F1, every class."""
    import json

    from thriftune.terminal import print_table, print_text
    from thriftune.use import files
    from thriftune.use.classifier import Classifier
    from thriftune.use.evaluate import evaluate_file

    files.check_source(file, format)
    found = evaluate_file(Classifier.load(source), file, text=tuple(text or ()), label=label, format=format)
    if as_json:
        typer.echo(json.dumps(found.document(), indent=1, ensure_ascii=False))
        return
    print_table(found.table())
    for sentence in found.sentences():
        print_text(sentence)
