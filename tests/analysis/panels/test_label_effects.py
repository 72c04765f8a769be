"""Slices and words keep the label fixed: labels alone make none stand out, and a true effect beside them is found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from tests.analysis.figures import figure

from thriftune.analysis.findings.errors.properties import LABEL, Part, kept, ranges, values
from thriftune.analysis.findings.errors.slicing import search
from thriftune.analysis.findings.errors.vocabulary import take_apart
from thriftune.analysis.panels.errors import error_words
from thriftune.analysis.panels.errors.error_words import Group

TEXTS, CLASSES, WORDS = 3000, 6, 300
GENRES = np.array(["fiction", "letters", "travel", "news", "phone"])


class Study:
    """Texts whose words, length and genre follow their label, as do their errors; nothing else does."""

    def __init__(self, seed: int, slice_: bool = False, word: bool = False) -> None:
        rng = np.random.default_rng([23, seed])
        self.label = rng.choice(CLASSES, TEXTS, p=rng.dirichlet(np.full(CLASSES, 4.0)))
        rate = rng.uniform(0.02, 0.4, CLASSES)[self.label]
        genre = np.array([rng.choice(5, p=p) for p in rng.dirichlet(np.ones(5), CLASSES)[self.label]])
        length = rng.integers(3, 10, TEXTS) + 3 * self.label
        common = rng.dirichlet(np.full(WORDS, 0.1), CLASSES)
        lines = [rng.choice(WORDS, n, p=common[k]) for n, k in zip(length, self.label, strict=True)]
        texts = [" ".join(f"w{i}" for i in line) for line in lines]
        if word:
            chosen = rng.random(TEXTS) < 0.05
            texts = [f"{text} sentinel" if each else text for text, each in zip(texts, chosen, strict=True)]
            rate = rate + 0.4 * chosen
        rate = rate + 0.25 * (genre == 2) * slice_
        self.wrong = rng.random(TEXTS) < rate
        self.held = take_apart(pl.DataFrame({"text": texts}), ["text"])
        names = pl.Series([f"intent {k}" for k in self.label])
        self.parts: list[Part] = [
            *ranges("length", length.astype(np.float64), "{} words"),
            *values(LABEL, names, "label {}"),
            *kept("genre", pl.Series(GENRES[genre])),
        ]

    def slices(self, fixed: bool = True) -> list[str]:
        """The slices found, with the label fixed or as if there were one."""
        label = self.label if fixed else np.zeros_like(self.label)
        return [each.name for each in search(self.parts, self.wrong, label, CLASSES)[0]]

    def words(self) -> list[str]:
        """The words found over all texts, then those within a label."""
        whole: NDArray[np.bool_] = np.ones(TEXTS, dtype=bool)
        masks = [self.label == k for k in range(CLASSES)]
        families = [[Group("", whole, self.wrong, self.label)], [Group("", mask, mask & self.wrong) for mask in masks]]
        held = csr_matrix(self.held.columns["text"])
        return [self.held.words[i] for family in families for i in error_words.search(held, family).word]


def reports(studies: range) -> tuple[float, float]:
    """The share of studies that report a slice or a word, and that would report a slice if labels were left out."""
    every = [Study(seed) for seed in studies]
    fixed = [bool(each.slices() or each.words()) for each in every]
    return float(np.mean(fixed)), float(np.mean([bool(each.slices(fixed=False)) for each in every]))


def hits(studies: range) -> tuple[float, float]:
    """The share of studies in which the slice, and the word, that was planted is named first."""
    slices = [Study(seed, slice_=True).slices()[:1] == ["genre: travel"] for seed in studies]
    words = [Study(seed, word=True).words()[:1] == ["sentinel"] for seed in studies]
    return float(np.mean(slices)), float(np.mean(words))


def test_labels_alone_make_nothing_stand_out() -> None:
    fixed, left_out = reports(range(6))
    assert fixed <= 0.2
    assert left_out > 0.5


def test_what_was_planted_comes_first() -> None:
    assert min(hits(range(3))) >= 0.6


@pytest.mark.slow
def test_labels_alone_make_nothing_stand_out_in_many_studies() -> None:
    fixed, _ = reports(range(200))
    assert figure(fixed, "slices found, labels alone") <= 0.05


@pytest.mark.slow
def test_what_was_planted_comes_first_in_many_studies() -> None:
    slices, words = hits(range(100, 160))
    assert figure(slices, "planted slice first") >= 0.9
    assert figure(words, "planted word first") >= 0.9
