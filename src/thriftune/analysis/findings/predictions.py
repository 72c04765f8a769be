"""Predictions as arrays: one run's with its probabilities, and the labels that all runs gave."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from thriftune.analysis.findings.memo import once
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.record import RunRecord
from thriftune.results.store import Results


@dataclass(frozen=True)
class Predictions:
    """Label ids and probabilities in the order of the split."""

    label: NDArray[np.int64]
    """True label ids, shape (texts,)."""
    predicted: NDArray[np.int64]
    """Predicted label ids, shape (texts,)."""
    probabilities: Floats | None
    """Shape (texts, labels); None where the method gives none."""

    @property
    def wrong(self) -> NDArray[np.bool_]:
        """Which texts were classified wrongly, shape (texts,)."""
        return np.not_equal(self.label, self.predicted)

    @property
    def gap(self) -> Floats:
        """Predicted minus true label's probability for each error, shape (errors,); empty without probabilities."""
        if self.probabilities is None:
            return np.zeros(0)
        wrong = np.flatnonzero(self.wrong)
        taken = self.probabilities[wrong, self.predicted[wrong]]
        return np.asarray(taken - self.probabilities[wrong, self.label[wrong]], dtype=np.float64)


def read(results: Results, run: RunRecord, name: str = "test") -> Predictions:
    """The run's predictions on a split."""
    frame = results.predictions(run, name)
    columns = [f"p_{label}" for label in results.labels]
    probabilities = None
    if all(column in frame.columns for column in columns):
        found = frame.select(columns).cast(pl.Float64).to_numpy()
        probabilities = None if np.isnan(found).any() else found
    label, predicted = label_ids(frame, results.labels)
    return Predictions(label, predicted, probabilities)


def label_ids(frame: pl.DataFrame, labels: list[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """True and predicted label ids of a table of predictions."""
    return _ids(frame["label"], labels), _ids(frame["predicted"], labels)


def _ids(names: pl.Series, labels: list[str]) -> NDArray[np.int64]:
    if names.dtype.is_integer():
        return names.cast(pl.Int64).to_numpy()
    ids = names.cast(pl.String).replace_strict(labels, list(range(len(labels))), return_dtype=pl.Int64)
    return ids.to_numpy()


@dataclass(frozen=True)
class Outcomes:
    """Label ids in test-set order."""

    label: Ints
    """Shape (texts,)."""
    predicted: dict[str, Ints]
    """By run id, each of shape (texts,)."""


@once
def outcomes(results: Results) -> Outcomes:
    """Reads the test predictions of every run that has them."""
    label = np.zeros(0, dtype=np.int64)
    predicted = {}
    for run in results.done:
        label, predicted[run.run_id] = label_ids(results.predictions(run), results.labels)
    return Outcomes(label, predicted)
