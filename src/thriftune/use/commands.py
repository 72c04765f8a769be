"""`thriftune predict` and `thriftune evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

PREDICT_EXAMPLES = """\b
Examples:
  thriftune predict results new.csv --out labelled.csv
  thriftune predict 'results:lora r8 all' new.jsonl --out labelled.parquet --probabilities
  thriftune predict results new.csv --out labelled.csv --text review --abstain 0.6
  cat new.tsv | thriftune predict results - --format tsv --out labelled.tsv
"""
EVALUATE_EXAMPLES = """\b
Examples:
  thriftune evaluate results labelled.csv
  thriftune evaluate results:full labelled.jsonl --text review --label stars --json
"""

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="Output folder of a study (its recommended run), FOLDER:RUN, or the folder of a run or of its model.",
    ),
]
FileArgument = Annotated[str, typer.Argument(help="csv, tsv, jsonl or parquet; - for standard input, with --format.")]
TextOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Column of the texts, if it is not called as in training; twice for pairs.",
        show_default=False,
    ),
]
FormatOption = Annotated[
    str | None,
    typer.Option(help="What FILE holds: csv, tsv, jsonl or parquet; by its ending if left out.", show_default=False),
]


def register(app: typer.Typer) -> None:
    """Adds both commands."""
    app.command(epilog=PREDICT_EXAMPLES)(predict)
    app.command(epilog=EVALUATE_EXAMPLES)(evaluate)


def predict(
    source: SourceArgument,
    file: FileArgument,
    out: Annotated[
        Path,
        typer.Option(help="File for the rows with their labels; its ending says which format.", show_default=False),
    ],
    text: TextOption = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write every label's as well.")] = False,
    no_calibration: Annotated[
        bool,
        typer.Option("--no-calibration", help="Leave confidences as trained, not scaled by the run's temperature."),
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(help="Give no label below this confidence, and say what to expect: 0.6.", show_default=False),
    ] = None,
    format: FormatOption = None,
) -> None:
    """Label the rows of a file of any size; the same command goes on with an interrupted one.

    Rows keep their order and columns, and get predicted, confidence and reason. Those that cannot be used get no label.
    """
    from thriftune.terminal import print_text
    from thriftune.use.classifier import Classifier
    from thriftune.use.predict import Options, calibrated, check_request, expected, predict_file

    options = Options(
        text=tuple(text or ()),
        probabilities=probabilities,
        calibrate=not no_calibration,
        abstain=abstain,
        format=format,
    )
    _, target, _ = check_request(file, out, options)
    classifier = calibrated(Classifier.load(source), options, _say)
    _say(f"Predicting with {classifier.source.name}.")
    if target.exists():
        _say(f"{target} is there already; it is replaced when all rows are done.")
    done = predict_file(classifier, file, out, options, _say)
    for sentence in done.sentences():
        print_text(sentence)
    if abstain is not None:
        print_text(expected(classifier, abstain))


def evaluate(
    source: SourceArgument,
    file: FileArgument,
    text: TextOption = None,
    label: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the labels, if not called as in training.", show_default=False),
    ] = None,
    format: FormatOption = None,
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


def _say(text: str) -> None:
    from thriftune.errors import readable

    typer.echo(readable(text), err=True)
