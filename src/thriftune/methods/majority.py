"""The floor: always the most frequent label."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from thriftune.methods.base import Baseline, FittedBaseline, Labelled


@dataclass(frozen=True)
class FittedMajority:
    """Label shares of the training texts."""

    shares: np.ndarray
    trained_parameters: int = 0
    notes: tuple[str, ...] = ()

    def predict(self, texts: list[list[str]]) -> np.ndarray:
        """The training shares for every text: probabilities of shape (texts, classes)."""
        return np.tile(self.shares, (len(texts[0]), 1))

    def save(self, folder: Path) -> int:
        """Writes majority.json and returns its bytes."""
        path = folder / "majority.json"
        path.write_text(json.dumps({"shares": self.shares.tolist()}), encoding="utf-8")
        return path.stat().st_size


@dataclass(frozen=True, kw_only=True)
class Majority(Baseline):
    """Predicts the training labels' shares, so its label is the most frequent one."""

    SUMMARY: ClassVar[str] = "always the most frequent training label: the floor"
    SOURCE: ClassVar[str] = "baseline"

    def fit(self, train: Labelled, classes: int, seed: int, validation: Labelled | None = None) -> FittedBaseline:
        """Counts the training labels."""
        return FittedMajority(np.bincount(train.labels, minlength=classes) / len(train.labels))


METHOD = Majority
