"""`thriftune evaluate`: scores a trained classifier on a file with labels, and adds it to the study's report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.cli.classifier_options import Format, LabelFile, Source, TextColumn
from thriftune.errors import InputError, readable
from thriftune.paths import named

if TYPE_CHECKING:
    from thriftune.results.scores import FurtherTest
    from thriftune.results.store import Store

EXAMPLES = [
    "thriftune evaluate results labelled.csv",
    "thriftune evaluate results labelled.csv --name july",
    "thriftune evaluate results:full labelled.jsonl --text review --label stars --json --no-append",
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
    name: Annotated[
        str | None,
        typer.Option(help="Name of the test set in the report; after the file if left out.", show_default=False),
    ] = None,
    no_append: Annotated[bool, typer.Option("--no-append", help="Leave the study and its report as they are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Score a classifier on a file with labels: accuracy with its interval, macro F1, every class.

    The file becomes a further test set in the study's report; the same file again takes its own place.
    """
    import json
    import tempfile
    from pathlib import Path

    from thriftune.terminal import print_table, print_text
    from thriftune.use import files
    from thriftune.use.classifier import Classifier
    from thriftune.use.evaluate import evaluate_file
    from thriftune.use.evaluated.study import add_to_study, check_name, study_of

    if name is not None:
        check_name(name)
        if no_append:
            raise InputError("--name has no effect with --no-append. Leave one of them out.")
    files.check_source(file, format)
    classifier = Classifier.load(source)
    store = None if no_append else study_of(classifier.source)
    if name is not None and store is None:
        raise InputError(f"--name has no effect: {source} is part of no study that has a report. Leave it out.")
    with tempfile.TemporaryDirectory(prefix="thriftune-") as folder:
        into = Path(folder) / "rows.parquet" if store is not None else None
        options = {"text": tuple(text or ()), "label": label, "format": format, "into": into}
        found = evaluate_file(classifier, file, **options)  # type: ignore[arg-type]
        added = None if into is None else add_to_study(classifier.source, found, into, name)
    if as_json:
        document = found.document() | {"name": None if added is None else added.name}
        typer.echo(json.dumps(document, indent=1, ensure_ascii=False))
    else:
        print_table(found.table())
        for sentence in found.sentences():
            print_text(sentence)
    if added is not None and store is not None:
        typer.echo(readable(_said(added, str(_rebuilt(store)))), err=as_json)


def _rebuilt(store: Store) -> object:
    from thriftune.cli.elsewhere import changed
    from thriftune.report.render import write_report

    with changed(store.path):
        return named(write_report(store.path))


def _said(added: FurtherTest, page: str) -> str:
    runs = f", with {len(added.runs)} runs" if len(added.runs) > 1 else ""
    return f'It is the test set "{added.name}" in the study\'s report{runs}: {page}'
