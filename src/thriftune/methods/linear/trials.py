"""What linear classifiers make of validation texts, and which of them is taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thriftune.methods.linear import classifier as linear_classifier
from thriftune.methods.linear.classifier import Kind, Linear

TRAINED_WORK = 50e6
"""A search trains on so many texts that (classes + 10) * numbers in their features stay below this."""
SCORED_TEXTS = 5_000
"""A search scores at most so many validation texts."""


@dataclass(frozen=True)
class Trial:
    """What a classifier made of the validation texts."""

    linear: Linear
    right: np.ndarray
    """Whether each text's label was found, (texts,)."""
    loss: float

    @property
    def accuracy(self) -> float:
        """The share that is right."""
        return float(self.right.mean())


@dataclass(frozen=True)
class Sample:
    """The texts that a search trains on and scores, by their rows; all of them where they are few."""

    train: np.ndarray
    labels: np.ndarray
    """Those of `train`."""
    held_out: np.ndarray
    truth: np.ndarray
    """The labels of `held_out`."""
    seed: int
    whole: bool
    """Whether `train` is all texts."""

    def tried(self, kind: Kind, strength: float, train: Any, held_out: Any) -> Trial:
        """Trains and scores on the sample's rows of the features of all texts."""
        rows = train if self.whole else train[self.train]
        taught = linear_classifier.fit(kind, strength, rows, self.labels, self.seed)
        held_out = held_out[self.held_out]
        taught = taught.scaled(held_out, self.truth)
        probabilities = taught.probabilities(held_out, int(max(self.truth.max(), taught.classes.max())) + 1)
        loss = linear_classifier.cross_entropy(probabilities, self.truth)
        return Trial(taught, probabilities.argmax(axis=1) == self.truth, loss)


def sample(labels: np.ndarray, truth: np.ndarray, numbers: int, seed: int) -> Sample:
    """Draws the texts of a search over training and validation labels; all training texts' features hold `numbers`."""
    rng, work = np.random.default_rng(seed), (score_count(labels) + 10) * numbers
    train, held_out = np.arange(len(labels)), np.arange(len(truth))
    if work > TRAINED_WORK:
        drawn = np.sort(rng.permutation(len(labels))[: max(1, int(len(labels) * TRAINED_WORK / work))])
        # A search needs two classes, and the final classifier is trained on all texts anyway.
        train = drawn if len(np.unique(labels[drawn])) > 1 else train
    if len(truth) > SCORED_TEXTS:
        held_out = np.sort(rng.permutation(len(truth))[:SCORED_TEXTS])
    return Sample(train, labels[train], held_out, truth[held_out], seed, len(train) == len(labels))


def score_count(labels: np.ndarray) -> int:
    """How many scores a text gets: one a class, one alone for two classes."""
    classes = len(np.unique(labels))
    return 1 if classes == 2 else classes


def best(trials: Sequence[Trial]) -> int:
    """The trial with the lowest loss among those whose accuracy is the best or differs from it by no more than noise.

    Noise is one standard error of the difference: the square root of the number of texts that one of the two has right
    and the other wrong. Of equals the first, which is the simplest.
    """
    top = min(trials, key=lambda each: (-each.accuracy, each.loss))
    close = []
    for index, each in enumerate(trials):
        lost, won = int((top.right & ~each.right).sum()), int((each.right & ~top.right).sum())
        if lost - won <= np.sqrt(lost + won):
            close.append(index)
    return min(close, key=lambda index: trials[index].loss)
