"""Whether a finished run's files are those that it left, and its scores those of its predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.results.files import AGAIN, NUMBER, TEXT, WHOLE, DamagedError, check_columns, sha256
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.results.scores import Scores
from thriftune.results.store import Results

if TYPE_CHECKING:
    import polars as pl

LARGEST_HASHED = 200_000_000
"""Bytes; of a larger file (weights) the size alone is looked at when a study is resumed."""
TOLERANCE = 1e-6


def check_run(
    folder: RunFolder,
    record: RunRecord,
    labels: list[str],
    texts: Mapping[str, pl.DataFrame],
    files: bool = True,
    read: Callable[[str], pl.DataFrame] | None = None,
) -> None:
    """Raises `DamagedError` where a done run's files or scores are not what it left.

    `texts` has, by test set, the columns example and label (by name) that the predictions must repeat, row by row. With
    `files` every file is held against its checksum; a `model/` folder that was removed as a whole is no damage. `read`
    gives the predictions on a set, where they may be in memory already.
    """
    if files:
        present = (folder.path / "model").exists()
        left = {name: about for name, about in record.files.items() if present or not name.startswith("model/")}
        check_files(folder.path, left, LARGEST_HASHED)
    scored: dict[str, Scores | None] = {"validation": record.validation, "test": record.test, **record.robustness}
    for name, scores in scored.items():
        if scores is not None:
            frame = (read or folder.read_predictions)(name)
            _check_scores(folder.predictions_path(name), frame, scores, labels, texts.get(name))


def check_results(results: Results) -> None:
    """Raises `DamagedError` that names the first file of a run that does not fit: record, predictions or scores."""
    sets = {name: results.robustness(name) for name in results.study.robustness}
    for run in results.done:
        folder = results.store.run(run.run_id)
        _check_record(folder, run)
        check_files(folder.path, {name: about for name, about in run.files.items() if not name.startswith("model/")})
        held = {name: sets[name] for name in sets if run in results.robustness_runs(name)}
        check_run(folder, run, results.labels, {"test": results.test, **held}, False, partial(results.predictions, run))


def _check_record(folder: RunFolder, run: RunRecord) -> None:
    """Raises `DamagedError` where a run's own record is missing, or has other scores or costs than results.json."""
    own = folder.read_record()
    for name in (each.name for each in fields(RunRecord)):
        if getattr(own, name) != getattr(run, name):
            raise DamagedError(folder.record_path, f"its {name} is not that of results.json")


def check_model(model: Path, record: RunRecord) -> None:
    """Raises `DamagedError` where a file of a run's `model/` is not the one that it left; README.md may differ."""
    files = {name: about for name, about in record.files.items() if name.startswith("model/")}
    files.pop("model/README.md", None)
    check_files(model.parent, files)


def check_files(
    folder: Path, files: Mapping[str, Mapping[str, Any]], largest: float = math.inf, remedy: str = AGAIN
) -> None:
    """Raises `DamagedError` where a file is missing, or has other bytes than its `bytes` and `sha256` say.

    Of those with more bytes than `largest` the size alone is looked at.
    """
    for name, about in files.items():
        path = folder / name
        if not path.is_file():
            raise DamagedError(path, "it is missing", remedy)
        if path.stat().st_size != about["bytes"]:
            why = f"it has {path.stat().st_size:,} bytes, {about['bytes']:,} were written"
            raise DamagedError(path, why, remedy)
        if about["bytes"] <= largest and sha256(path) != about["sha256"]:
            raise DamagedError(path, "its checksum is not that of the file that was written", remedy)


def _check_scores(
    path: Path, frame: pl.DataFrame, scores: Scores, labels: list[str], test: pl.DataFrame | None
) -> None:
    probable = [f"p_{label}" for label in labels]
    check_columns(path, frame, {"example": WHOLE, "label": TEXT, "predicted": TEXT, **dict.fromkeys(probable, NUMBER)})
    if test is not None:
        same = frame.height == test.height and all(
            frame[name].cast(test[name].dtype, strict=False).equals(test[name]) for name in ("example", "label")
        )
        if not same:
            raise DamagedError(path, f"its rows are not the texts and labels of {path.stem} in their order")
    ids = {label: index for index, label in enumerate(labels)}
    truth = np.array([ids.get(name, -1) for name in frame["label"].to_list()], dtype=np.int64)
    predicted = np.array([ids.get(name, -1) for name in frame["predicted"].to_list()], dtype=np.int64)
    if frame.height and (truth.min() < 0 or predicted.min() < 0):
        raise DamagedError(path, "it names a label that the study does not have")
    probabilities = frame.select(probable).to_numpy()
    if not np.array_equal(probabilities.argmax(axis=1), predicted):
        raise DamagedError(path, "a predicted label is not the most probable one")
    confusion = np.zeros((len(labels), len(labels)), dtype=np.int64)
    np.add.at(confusion, (truth, predicted), 1)
    if wrong := _difference(scores, confusion, probabilities[np.arange(len(truth)), truth], labels):
        raise DamagedError(path.parents[1] / "run.json", f"the {wrong} of {path.stem} is not that of its predictions")


def _difference(scores: Scores, confusion: np.ndarray, of_truth: np.ndarray, labels: list[str]) -> str | None:
    """The first score that does not follow from the predictions; None where all do."""
    if confusion.tolist() != scores.confusion:
        return "confusion matrix"
    right, truths, guesses = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * right / np.maximum(truths + guesses, 1)
    seen = truths + guesses > 0
    # Macro F1 counts the classes that occur or are predicted; a record of an earlier release may count all.
    macro = (float(f1[seen].mean()), float(f1.mean())) if seen.any() else (0.0, 0.0)
    loss = float(-np.log(np.clip(of_truth, 1e-12, None)).mean())
    if not _close(scores.accuracy, float(right.sum() / max(1, truths.sum()))):
        return "accuracy"
    if not any(_close(scores.macro_f1, value) for value in macro):
        return "macro F1"
    if scores.loss is not None and abs(scores.loss - loss) > 1e-4 * max(1.0, abs(loss)):
        return "loss"
    for index, label in enumerate(labels):
        own = scores.per_class.get(label)
        if own is None or own.support != truths[index] or not _close(own.f1, float(f1[index])):
            return f'score of "{label}"'
    return None


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= TOLERANCE
