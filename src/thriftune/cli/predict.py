"""`thriftune predict`: labels the rows of a file with a trained classifier."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.classifier_options import Format, LabelFile, Source, TextColumn
from thriftune.errors import readable

EXAMPLES = [
    "cat new.tsv | thriftune predict results - --format tsv --out labelled.tsv",
    "thriftune predict results new.csv --out labelled.csv",
    "thriftune predict 'results:lora r8 all' new.jsonl --out labelled.parquet --probabilities",
    "thriftune predict results new.csv --out labelled.csv --text review --abstain 0.6",
]


def predict(
    source: Source,
    file: LabelFile,
    out: Annotated[
        Path,
        typer.Option(help="File for the rows with their labels; its ending says which format.", show_default=False),
    ],
    text: TextColumn = None,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write every label's as well.")] = False,
    no_calibration: Annotated[
        bool,
        typer.Option("--no-calibration", help="Leave confidences as trained, not scaled by the run's temperature."),
    ] = False,
    abstain: Annotated[
        float | None,
        typer.Option(help="Give no label below this confidence, and say what to expect: 0.6.", show_default=False),
    ] = None,
    format: Format = None,
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
    _say(" ".join([f"Predicting with {classifier.source.name}.", *classifier.source.notes]))
    if target.exists():
        _say(f"{target} is there already; it is replaced when all rows are done.")
    done = predict_file(classifier, file, out, options, _say)
    for sentence in done.sentences():
        print_text(sentence)
    if abstain is not None:
        print_text(expected(classifier, abstain))


def _say(text: str) -> None:
    typer.echo(readable(text), err=True)
