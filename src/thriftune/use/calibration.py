"""What a run's stored predictions say of its probabilities: the temperature, and what abstaining leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thriftune.analysis.statistics.basics import Floats, wilson
from thriftune.analysis.statistics.reliability import scaled, temperature
from thriftune.results.run_folder import RunFolder

__all__ = ["Expectation", "expectation", "fit_temperature", "scaled"]


@dataclass(frozen=True)
class Expectation:
    """What a confidence threshold did to a run's test texts."""

    texts: int
    kept: int
    """How many had the confidence."""
    right: int
    """How many of those were classified rightly."""
    all_right: int

    @property
    def coverage(self) -> float:
        """The share that keeps a label."""
        return self.kept / self.texts

    @property
    def accuracy(self) -> float | None:
        """Of those that keep one; None where none does."""
        return self.right / self.kept if self.kept else None

    @property
    def interval(self) -> tuple[float, float]:
        """95% of that accuracy."""
        return wilson(self.right, self.kept)


def fit_temperature(run: RunFolder, labels: Sequence[str]) -> float | None:
    """The temperature that fits the run's validation predictions, as the report has it; None where there are none."""
    found = _stored(run, "validation", labels)
    return None if found is None else temperature(*found)


def expectation(
    run: RunFolder, labels: Sequence[str], threshold: float, by_temperature: float | None
) -> Expectation | None:
    """What the threshold leaves of the run's test predictions; None where there are none."""
    found = _stored(run, "test", labels)
    if found is None:
        return None
    probabilities, truth = found
    if by_temperature is not None:
        probabilities = scaled(probabilities, by_temperature)
    right = probabilities.argmax(axis=1) == truth
    kept = probabilities.max(axis=1) >= threshold
    return Expectation(len(truth), int(kept.sum()), int((right & kept).sum()), int(right.sum()))


def _stored(run: RunFolder, split: str, labels: Sequence[str]) -> tuple[Floats, np.ndarray] | None:
    """Probabilities (texts, labels) and label ids (texts,) of a run's predictions; None where it has none."""
    if not run.predictions_path(split).exists():
        return None
    frame = run.read_predictions(split)
    columns = [f"p_{label}" for label in labels]
    if not frame.height or not set(columns) <= set(frame.columns):
        return None
    ids = {label: index for index, label in enumerate(labels)}
    probabilities = frame.select(columns).to_numpy().astype(np.float64)
    return probabilities, np.array([ids[label] for label in frame["label"].to_list()], dtype=np.int64)
