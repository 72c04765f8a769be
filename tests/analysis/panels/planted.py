"""Random datasets with errors that follow a known pattern, or none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

LABELS = ("yes", "no answer", "maybe")
BASE = 0.15
"""Error rate outside the pattern."""


def texts(count: int, rng: np.random.Generator, pair: bool = False) -> dict[str, Any]:
    """Texts of 3 to 25 words out of 800 with Zipf frequencies, labels, and two kept columns."""
    frame: dict[str, Any] = {}
    for column in ("premise", "hypothesis") if pair else ("text",):
        draws = (rng.zipf(1.2, (count, 25)) - 1) % 800
        lengths = rng.integers(3, 26, count)
        frame[column] = [" ".join(f"w{i}" for i in row[:n]) for row, n in zip(draws, lengths, strict=True)]
    frame["label"] = rng.integers(0, len(LABELS), count)
    frame["genre"] = rng.choice(["fiction", "letters", "travel", "news", "phone"], count).tolist()
    frame["age"] = rng.normal(40, 12, count)
    return frame


def errors(count: int, rng: np.random.Generator, runs: int = 3, rate: np.ndarray | float = BASE) -> np.ndarray:
    """Errors of shape (runs, texts): the runs share what is hard about a text."""
    hardness = softmax(rng.normal(0, 0.6, (count, 2)), axis=1)[:, 0] * 2
    return rng.random((runs, count)) < np.clip(rate * hardness, 0, 1)


def planted_word(count: int, rng: np.random.Generator, pair: bool) -> tuple[dict[str, Any], np.ndarray, str]:
    """A word in 5% of the texts that flips the prediction of every run there."""
    frame = texts(count, rng, pair)
    column = "hypothesis" if pair else "text"
    chosen = rng.permutation(count) < count // 20
    frame[column] = [f"{text} sentinel" if each else text for text, each in zip(frame[column], chosen, strict=True)]
    return frame, errors(count, rng) | chosen, "sentinel"


Planter = Callable[[dict[str, Any], np.random.Generator], tuple[np.ndarray, list[str]]]


def _genre(frame: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    return np.array([genre == "travel" for genre in frame["genre"]]), ["genre: travel"]


def _number(frame: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    chosen = rng.random(len(frame["text"])) < 0.08
    plain = [text.replace("w", "word ").translate(DIGITS) for text in frame["text"]]
    frame["text"] = [f"{text} 1984" if each else text for text, each in zip(plain, chosen, strict=True)]
    return chosen, ["text with a number"]


def _negation(frame: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    chosen = rng.random(len(frame["text"])) < 0.08
    english = [f"the {text} is in and to" for text in frame["text"]]
    frame["text"] = [f"{text} don't" if each else text for text, each in zip(english, chosen, strict=True)]
    return chosen, ["text with a negation"]


def _long(frame: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    return np.array([len(text.split()) > 21 for text in frame["text"]]), ["length of text: at least"]


def _label(frame: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    return frame["label"] == 1, ["label no answer"]


def _pair(frame: dict[str, Any], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    genre = np.array([each == "news" for each in frame["genre"]])
    return genre & (frame["label"] == 2), ["label maybe", "genre: news"]


DIGITS = str.maketrans("0123456789", "abcdefghij")
PLANTERS: tuple[Planter, ...] = (_genre, _number, _negation, _long, _label, _pair)


def planted_slice(count: int, rng: np.random.Generator, which: int) -> tuple[dict[str, Any], np.ndarray, list[str]]:
    """A slice with three times the errors of other texts, and how each of its parts is named."""
    frame = texts(count, rng)
    chosen, names = PLANTERS[which % len(PLANTERS)](frame, rng)
    return frame, errors(count, rng, rate=np.where(chosen, 3 * BASE, BASE)), names
