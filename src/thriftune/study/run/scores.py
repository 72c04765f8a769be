"""What a run predicts of its splits: scored with scikit-learn, and written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from thriftune.data.large.arrays import blocks
from thriftune.results.run_folder import RunFolder
from thriftune.results.scores import ClassScores, Scores
from thriftune.study.events import RunProgress
from thriftune.study.run.job import EVALUATED, Emit, Job, label_ids

if TYPE_CHECKING:
    import polars as pl


TEXTS_AT_ONCE = 1 << 16
"""Whose probabilities are in memory together."""


class Chances(Protocol):
    """Probabilities of many texts, (texts, classes): an array, or what computes some rows when they are asked for."""

    def __len__(self) -> int:
        """How many texts."""
        ...

    def __getitem__(self, part: slice, /) -> np.ndarray:
        """Those of some texts, (texts, classes)."""
        ...


def evaluate(
    job: Job,
    folder: RunFolder,
    emit: Emit,
    frames: dict[str, pl.DataFrame],
    splits: Iterable[str],
    probabilities: Callable[[str], Chances],
) -> tuple[dict[str, Scores], float]:
    """Predicts splits, writes what was predicted, and scores it; the seconds are those of validation and test alone.

    `probabilities` gives those of a split, (texts, classes); of a large one they are in memory part by part.
    """
    emit(RunProgress(job.planned.name, "evaluating"))
    scores, seconds = {}, 0.0
    for split in splits:
        started = time.perf_counter()
        found = probabilities(split)
        seconds += (time.perf_counter() - started) * (split in EVALUATED)
        scores[split] = score(label_ids(frames[split]), found, job.labels)
        parts = (
            predictions_frame(frames[split][part], found[part], job.labels)
            for part in blocks(len(found), TEXTS_AT_ONCE)
        )
        folder.write_prediction_parts(split, parts)
    return scores, seconds


def score(labels: np.ndarray, probabilities: Chances, names: tuple[str, ...]) -> Scores:
    """Scores of probabilities (texts, classes) against label ids (texts,).

    The predicted label is the most probable one (the first of equals). A class without predictions has
    precision 0, one without texts recall 0. Macro F1 is the mean over the classes that occur or are predicted; the
    others are `absent`. The loss is the mean negative log probability of the true label in
    nats, probabilities clipped at 1e-12 so that a baseline's zero stays finite.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    ids = np.arange(len(names))
    predicted, truth = np.empty(len(labels), dtype=np.int64), np.empty(len(labels))
    for part in blocks(len(labels), TEXTS_AT_ONCE):
        given = probabilities[part]
        predicted[part] = given.argmax(axis=1)
        truth[part] = given[np.arange(len(given)), labels[part]]
    precision, recall, f1, support = precision_recall_fscore_support(labels, predicted, labels=ids, zero_division=0.0)
    present = np.union1d(labels, predicted)
    return Scores(
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(np.mean(f1[present])),
        loss=float(-np.log(np.clip(truth, 1e-12, None)).mean()),
        per_class={
            name: ClassScores(float(precision[i]), float(recall[i]), float(f1[i]), int(support[i]))
            for i, name in enumerate(names)
        },
        confusion=confusion_matrix(labels, predicted, labels=ids).tolist(),
        absent=[name for i, name in enumerate(names) if i not in present],
    )


def predictions_frame(frame: pl.DataFrame, probabilities: np.ndarray, labels: tuple[str, ...]) -> pl.DataFrame:
    """Predictions as they go to disk: example, label, predicted, and `p_LABEL` for each label."""
    import polars as pl

    names = np.array(labels, dtype=object)
    return pl.DataFrame(
        {
            "example": frame["example"],
            "label": pl.Series(names[label_ids(frame)], dtype=pl.String),
            "predicted": pl.Series(names[probabilities.argmax(axis=1)], dtype=pl.String),
            **{f"p_{label}": probabilities[:, index] for index, label in enumerate(labels)},
        }
    )
