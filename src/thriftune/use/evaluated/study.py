"""An evaluation as a further test set of the study that the classifier comes from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.errors import InputError
from thriftune.results.scores import Evaluated, FurtherTest

if TYPE_CHECKING:
    from thriftune.results.store import Store
    from thriftune.use.evaluate import Evaluation
    from thriftune.use.source import Source

LONGEST = 80
BARRED = re.compile(r"[^\w.+-]+")


def study_of(source: Source) -> Store | None:
    """The study whose report has the classifier's run; None where it lies in none."""
    if source.results is None or source.record is None:
        return None
    known = {run.run_id for run in source.results.done}
    return source.results.store if source.record.run_id in known else None


def add_to_study(source: Source, found: Evaluation, predictions: Path, name: str | None) -> FurtherTest:
    """Stores an evaluation beside the study that `study_of` gives; the same file again takes its place."""
    store, record = study_of(source), source.record
    assert store is not None
    assert record is not None
    file = found.file if found.file == "-" else str(Path(found.file).absolute())
    own = Evaluated(
        run_id=record.run_id,
        run=record.name,
        rows=found.rows,
        accuracy=found.accuracy,
        accuracy_interval_95=found.accuracy_interval_95,
        macro_f1=found.macro_f1,
        not_scored=found.not_scored,
        seen=found.seen,
    )
    test = FurtherTest(
        name=name or further_name(file, store.evaluations()),
        file=file,
        fingerprint=found.fingerprint,
        columns=list(found.columns),
        label=found.label,
        runs=[own],
    )
    return store.write_evaluation(test, record.run_id, predictions)


def further_name(file: str, taken: list[FurtherTest]) -> str:
    """The name of a file's test set: what the same file was called before, else after the file, with a number where
    another has that name."""
    known = next((each.name for each in taken if each.file == file and file != "-"), None)
    if known is not None:
        return known
    stem = "stdin" if file == "-" else re.split(r"[/\\]", file)[-1].split(".", 1)[0]
    stem = BARRED.sub("-", stem).strip("-.")[:LONGEST] or "file"
    if file == "-":
        return stem
    names, name, number = {each.name.casefold() for each in taken}, stem, 2
    while name.casefold() in names:
        name, number = f"{stem}-{number}", number + 1
    return name


def check_name(name: str) -> None:
    """Raises `InputError` for what is no name of a file."""
    if not name or len(name) > LONGEST or BARRED.search(name) or name.startswith((".", "-")):
        raise InputError(
            f'--name "{name[:LONGEST]}" is given; a name has letters, digits, "_", "-", "+" and ".", begins with a '
            f"letter or digit and has at most {LONGEST} characters: reviews-2026."
        )
