"""How well probabilities tell how often a run is right: calibration error, Brier score, temperature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from thriftune.analysis.statistics.basics import Floats

BINS = 15
"""Bins of equal width over the confidence, as in Guo et al. (2017)."""
SMALLEST = float(np.finfo(np.float64).tiny)
"""A probability of 0 counts as this in logarithms."""
TEMPERATURES = (0.05, 20.0)
"""Between these a temperature is looked for."""


@dataclass(frozen=True)
class Bins:
    """Texts grouped by the probability of their predicted label; every array has the shape (BINS,)."""

    texts: NDArray[np.int64]
    confidence: Floats
    """Mean probability of the predicted label; 0 where a bin is empty."""
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error: the mean distance of the two, weighted by texts (Naeini et al., 2015)."""
        distance = np.abs(self.confidence - self.accuracy)
        return float((self.texts * distance).sum() / max(1, self.texts.sum()))


def confidence_of(probabilities: Floats, label: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """Probability of the predicted label, and whether that label is true: both of shape (texts,)."""
    predicted = probabilities.argmax(axis=1)
    return probabilities.max(axis=1), predicted == label


def bins(probabilities: Floats, label: NDArray[np.int64]) -> Bins:
    """Groups texts by confidence into bins of equal width, each without its lower end."""
    confidence, right = confidence_of(probabilities, label)
    index = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    texts = np.bincount(index, minlength=BINS)
    known = np.maximum(texts, 1)
    return Bins(
        texts=texts,
        confidence=np.bincount(index, weights=confidence, minlength=BINS) / known,
        accuracy=np.bincount(index, weights=right, minlength=BINS) / known,
    )


def brier(probabilities: Floats, label: NDArray[np.int64]) -> float:
    """Mean squared distance of the probabilities from the truth, summed over labels: 0 to 2 (Brier, 1950)."""
    taken = probabilities[np.arange(len(label)), label]
    return float(((probabilities**2).sum(axis=1) - 2 * taken + 1).mean())


def overconfidence(probabilities: Sequence[Floats], label: NDArray[np.int64]) -> tuple[float, float, float]:
    """Mean confidence minus accuracy, from -1 to 1, with the ends of its 95% normal interval over texts and seeds.

    `probabilities` holds those of each seed on the same texts, each of shape (texts, labels).
    """
    known = [confidence_of(each, label) for each in probabilities]
    difference = np.stack([confidence - right for confidence, right in known])
    by_text, by_seed = difference.mean(axis=0), difference.mean(axis=1)
    mean = float(difference.mean())
    variance = float(by_text.var()) / len(by_text)
    if len(by_seed) > 1:
        variance += float(by_seed.var(ddof=1)) / len(by_seed)
    half = NormalDist().inv_cdf(0.975) * float(np.sqrt(variance))
    return mean, mean - half, mean + half


def scaled(probabilities: Floats, temperature: float) -> Floats:
    """The probabilities that logits over the temperature would give; above 1 they are less sure."""
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def temperature(probabilities: Floats, label: NDArray[np.int64]) -> float:
    """The temperature with the least cross-entropy on these texts (Guo et al., 2017), within `TEMPERATURES`."""
    logits = np.log(np.maximum(probabilities, SMALLEST))
    logits -= logits.max(axis=1, keepdims=True)
    true = logits[np.arange(len(label)), label]

    def loss(logarithm: float) -> float:
        inverse = np.exp(-logarithm)
        return float((np.log(np.exp(logits * inverse).sum(axis=1)) - true * inverse).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4}).x))
