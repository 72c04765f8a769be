"""Which n-grams, which classifier and which strength: chosen on validation, in two stages and within bounds of work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thriftune.methods.linear import classifier as linear_classifier
from thriftune.methods.linear.classifier import CALLED, Kind, Linear
from thriftune.methods.linear.features import Bank, Block, Column
from thriftune.methods.linear.ngrams import Kinds
from thriftune.methods.linear.trials import Sample, Trial, best, sample, score_count

GRID: dict[Kind, tuple[float, ...]] = {"logistic": (1.0, 10.0, 100.0), "svm": (0.03, 0.1, 0.3, 1.0, 3.0)}
"""The strengths C that are tried."""
UNCHOSEN: dict[Kind, float] = {"logistic": 10.0, "svm": 1.0}
"""The strength with which n-grams are compared, and the one taken where there is nothing to choose on."""
LOGISTIC_WORK = 50e6
"""Where (classes + 10) * (numbers in the features + 10 * features) is more, logistic regression is too slow to try."""
SPELLED_CHARACTERS = 6_000_000
"""Of longer training texts, all together, character n-grams are not tried where blanks part the words."""
PAIRED_CHARACTERS = 40_000_000
"""Of longer training texts, all together, words are not tried in pairs."""


@dataclass(frozen=True)
class Wanted:
    """What the study file says; None is chosen."""

    kinds: Kinds | None
    longest: int | None
    classifier: Kind | None
    strength: float | None


@dataclass(frozen=True)
class Choice:
    """The n-grams, a classifier trained on all texts, and how they were chosen."""

    blocks: tuple[Block, ...]
    linear: Linear
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Space:
    """The n-grams that can be tried."""

    bank: Bank
    columns: Sequence[Column]
    wanted: Wanted

    @property
    def open_characters(self) -> int:
        """The length of all training texts whose kind of n-gram is chosen."""
        pairs = zip(self.columns, self.bank.train, strict=True)
        return sum(len(text) for column, texts in pairs if column.kinds is None for text in texts)

    @property
    def spelled(self) -> bool:
        """Whether characters are tried beside words."""
        return self.wanted.kinds is None and 0 < self.open_characters <= SPELLED_CHARACTERS

    @property
    def lengths(self) -> tuple[int, ...]:
        """Shorter and longer n-grams; of very long texts the shorter alone."""
        return (0, 1) if self.open_characters <= PAIRED_CHARACTERS else (0,)

    def blocks(self, kinds: Kinds, length: int) -> tuple[Block, ...]:
        """What is counted where these n-grams are tried."""
        used = (
            (position, ngrams)
            for position, column in enumerate(self.columns)
            for ngrams in column.ngrams(kinds, length, self.wanted.longest)
        )
        return tuple(block for block in used if self.bank.has(block))

    def tried(self) -> list[tuple[Block, ...]]:
        """What is tried, from simple to complex; there is no need for short n-grams of words beside characters."""
        found = [self.blocks(self.wanted.kinds or "word", length) for length in self.lengths]
        if self.spelled:
            found += [self.blocks(kinds, 1) for kinds in ("character", "both")]
        return list(dict.fromkeys(found))

    def fixed(self) -> tuple[Block, ...]:
        """What is taken where there is nothing to choose on: the last of those that would be tried."""
        return self.tried()[-1]

    def notes(self) -> list[str]:
        """What is not tried."""
        if self.wanted.kinds is not None or self.open_characters <= SPELLED_CHARACTERS:
            return []
        few = "" if len(self.lengths) > 1 else ", nor words in pairs"
        return [f"Character n-grams{few} were not tried: the texts have {self.open_characters:,} characters."]


def choose(space: Space, labels: np.ndarray, truth: np.ndarray | None, seed: int) -> Choice:
    """Chooses on the validation labels `truth` what is not wanted otherwise, and trains on all texts; deterministic.

    First the n-grams with one classifier and strength, then the classifier and the strength with these n-grams.
    """
    if truth is None:
        return _unchosen(space, labels, seed)
    numbers = max(space.bank.matrices(blocks)[0].nnz for blocks in space.tried())
    drawn = sample(labels, truth, numbers, seed)
    blocks, compared, notes = _ngrams(space, drawn)
    train, held_out = space.bank.matrices(blocks)
    trials, left_out = _classifiers(space.wanted, compared, labels, drawn, train, held_out)
    taken = trials[best(trials)].linear
    if len(trials) > 1:
        notes.append(_listed(taken, trials, drawn) + left_out)
    if not drawn.whole:
        taken = linear_classifier.fit(taken.kind, taken.strength, train, labels, seed)
        taken = taken.scaled(held_out[drawn.held_out], drawn.truth)
    return Choice(blocks, taken, (*space.notes(), *notes, *_remarks(taken, "the validation texts")))


def _ngrams(space: Space, drawn: Sample) -> tuple[tuple[Block, ...], Trial, list[str]]:
    """The n-grams that are best, what one classifier made of them, and how they were chosen."""
    kind = space.wanted.classifier or "svm"
    strength = space.wanted.strength or UNCHOSEN[kind]
    trials = {blocks: drawn.tried(kind, strength, *space.bank.matrices(blocks)) for blocks in space.tried()}
    taken = list(trials)[best(list(trials.values()))]
    if len(trials) == 1:
        return taken, trials[taken], []
    listed = ", ".join(f"{described(blocks)} {trial.accuracy:.1%}" for blocks, trial in trials.items())
    how = f"The n-grams were chosen by validation accuracy of a {trials[taken].linear.describe()} ({listed})."
    return taken, trials[taken], [how]


def _classifiers(
    wanted: Wanted, compared: Trial, labels: np.ndarray, drawn: Sample, train: Any, held_out: Any
) -> tuple[list[Trial], str]:
    """What each classifier and strength makes of the n-grams, simple ones first, and what is not tried."""
    work = (score_count(labels) + 10) * (train.nnz + 10 * train.shape[1])
    slow = wanted.classifier is None and work > LOGISTIC_WORK
    kinds: tuple[Kind, ...] = (wanted.classifier,) if wanted.classifier else ("svm",) if slow else ("logistic", "svm")
    trials = []
    for kind in kinds:
        for strength in (wanted.strength,) if wanted.strength else GRID[kind]:
            same = (kind, strength) == (compared.linear.kind, compared.linear.strength)
            trials.append(compared if same else drawn.tried(kind, strength, train, held_out))
    sentence = " Logistic regression was not tried: it is slow on so many texts and classes." if slow else ""
    return trials, sentence


def _listed(taken: Linear, trials: list[Trial], drawn: Sample) -> str:
    parts = []
    for kind, called in CALLED.items():
        scores = [f"{t.linear.strength:g} {t.accuracy:.1%}" for t in trials if t.linear.kind == kind]
        parts += [f"{called}: C {', '.join(scores)}"] if scores else []
    few = "" if drawn.whole else f", each trained on {len(drawn.train):,} texts"
    called = taken.describe()
    return (
        f"{called[0].upper()}{called[1:]} was chosen by validation accuracy, or by loss where accuracy differs by no "
        f"more than noise{few} ({'; '.join(parts)})."
    )


def _unchosen(space: Space, labels: np.ndarray, seed: int) -> Choice:
    """Fixed n-grams, classifier and strength, where they are not wanted otherwise."""
    wanted, blocks = space.wanted, space.fixed()
    kind = wanted.classifier or "svm"
    train, _ = space.bank.matrices(blocks)
    taken = linear_classifier.fit(kind, wanted.strength or UNCHOSEN[kind], train, labels, seed)
    if kind == "svm":
        drawn = sample(labels, labels, train.nnz, seed)
        taken = taken.scaled_by_folds(train[drawn.train], drawn.labels, seed)
    notes = space.notes()
    if wanted.kinds is None or wanted.longest is None or wanted.classifier is None or wanted.strength is None:
        notes.append(f"The n-grams and the {taken.describe()} were not chosen: there is no validation split.")
    return Choice(blocks, taken, (*notes, *_remarks(taken, "thirds of the training texts, each scored by the others")))


def _remarks(taken: Linear, scaled_on: str) -> list[str]:
    """How a classifier's probabilities come about, and whether its solver came to an end."""
    found = []
    if taken.kind == "svm":
        found.append(
            f"Probabilities are the softmax of {taken.scale:.3g} times the SVM's scores, fitted on {scaled_on}."
        )
    if not taken.converged:
        found.append(f"The {taken.describe()} had not converged after {linear_classifier.PASSES} passes.")
    return found


def described(blocks: tuple[Block, ...]) -> str:
    """The n-grams of all columns in words, each once."""
    return " and ".join(dict.fromkeys(ngrams.describe() for _, ngrams in blocks))
