"""TF-IDF with a linear classifier: what a user would have without a transformer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from thriftune.methods.base import Baseline, FittedBaseline, Labelled
from thriftune.methods.linear.choice import Space, Wanted, choose, described
from thriftune.methods.linear.classifier import Linear
from thriftune.methods.linear.features import Bank, Block, column, features_of
from thriftune.methods.linear.ngrams import Ngrams
from thriftune.settings import setting

FILES = ("vocabulary.json", "settings.json", "weights.npz")


@dataclass(frozen=True)
class FittedTfidf:
    """Fitted n-grams of the text columns, side by side, and one linear classifier over all of them.

    Without a single n-gram in training, or with a single class, there is no classifier, and every text gets the
    training labels' shares.
    """

    blocks: tuple[Block, ...]
    vectorizers: tuple[Any, ...]
    linear: Linear | None
    shares: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def trained_parameters(self) -> int:
        """Coefficients and intercepts."""
        return 0 if self.linear is None else int(self.linear.coefficients.size + self.linear.intercept.size)

    def predict(self, texts: list[list[str]]) -> np.ndarray:
        """Probabilities of shape (texts, classes); classes that training never saw get zero."""
        if self.linear is None:
            return np.tile(self.shares, (len(texts[0]), 1))
        return self.linear.probabilities(features_of(self.blocks, self.vectorizers, texts), len(self.shares))

    def save(self, folder: Path) -> int:
        """Writes vocabulary.json, settings.json and weights.npz, from which `load` predicts; returns their bytes."""
        words = [vectorizer.get_feature_names_out().tolist() for vectorizer in self.vectorizers]
        settings: dict[str, Any] = {
            "ngrams": [
                {"column": at, "analyzer": n.analyzer, "shortest": n.shortest, "longest": n.longest}
                for at, n in self.blocks
            ],
            "classifier": None,
        }
        weights: dict[str, Any] = {"shares": self.shares}
        if self.linear is not None:
            settings |= {"classifier": self.linear.kind, "regularization": self.linear.strength}
            settings |= {"scale": self.linear.scale, "converged": self.linear.converged}
            weights |= {"coefficients": self.linear.coefficients, "intercept": self.linear.intercept}
            weights |= {"classes": self.linear.classes}
        weights |= {f"idf_{index}": vectorizer.idf_ for index, vectorizer in enumerate(self.vectorizers)}
        for name, value in (("vocabulary", words), ("settings", settings)):
            (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        np.savez(folder / "weights.npz", **weights)
        return sum((folder / name).stat().st_size for name in FILES)


def again(fitted: FittedTfidf, train: Labelled, classes: int, seed: int) -> FittedTfidf:
    """The same n-grams, classifier, strength and scale of probabilities, fitted to other texts."""
    from thriftune.methods.linear.classifier import fit

    bank = Bank(train.texts, None)
    blocks = tuple(block for block in fitted.blocks if bank.has(block))
    shares = np.bincount(train.labels, minlength=classes) / len(train.labels)
    if fitted.linear is None or not blocks:
        return FittedTfidf((), (), None, shares)
    linear = fit(fitted.linear.kind, fitted.linear.strength, bank.matrices(blocks)[0], train.labels, seed)
    return FittedTfidf(blocks, bank.vectorizers(blocks), replace(linear, scale=fitted.linear.scale), shares)


def load(folder: Path) -> FittedTfidf:
    """What `save` wrote; predicts the same."""
    words, settings = (json.loads((folder / name).read_text(encoding="utf-8")) for name in FILES[:2])
    blocks = tuple(
        (each["column"], Ngrams(each["analyzer"], each["shortest"], each["longest"])) for each in settings["ngrams"]
    )
    vectorizers = []
    with np.load(folder / "weights.npz", allow_pickle=False) as weights:
        for index, (_, ngrams) in enumerate(blocks):
            vectorizer = ngrams.vectorizer(vocabulary=words[index])
            vectorizer.idf_ = weights[f"idf_{index}"]
            vectorizers.append(vectorizer)
        linear = None
        if settings["classifier"] is not None:
            linear = Linear(
                settings["classifier"],
                settings["regularization"],
                weights["coefficients"],
                weights["intercept"],
                weights["classes"],
                settings["scale"],
                settings["converged"],
            )
        return FittedTfidf(blocks, tuple(vectorizers), linear, weights["shares"])


@dataclass(frozen=True, kw_only=True)
class Tfidf(Baseline):
    """N-grams weighted by TF-IDF, each text column its own vocabulary, and a linear classifier over all of them.

    By default validation chooses: first among n-grams of words, of characters within words, and both side by side
    (where the texts do not part words by blanks: characters of two lengths), then between logistic regression and a
    linear SVM of several strengths, as far as they take seconds. What differs from the best validation accuracy by no
    more than noise is as good, and the lowest loss decides. The choice is part of training.

    A linear SVM (one class against the rest) has no probabilities; its decision values, times one scale that minimises
    the log loss on validation, go through a softmax, so that probabilities rank the classes as the margins do. Without
    validation the scale comes from thirds of the training texts, each scored by what the other two taught.
    """

    SUMMARY: ClassVar[str] = "TF-IDF and a linear SVM or logistic regression: no transformer at all"
    SOURCE: ClassVar[str] = "baseline; scikit-learn"

    features: Literal["auto", "word", "character", "both"] = setting(
        "auto",
        help="n-grams of words, of characters, or both; auto: by validation, characters where blanks do not part words",
    )
    ngrams: int | None = setting(
        None,
        help="longest n-gram; null: 1 or 2 words by validation, 4 characters within words, or 2 or 3 across them",
        minimum=1,
        maximum=5,
    )
    classifier: Literal["auto", "logistic", "svm"] = setting(
        "auto",
        help="logistic regression or linear SVM; auto: by validation, logistic regression only where it is quick",
    )
    regularization: float | Literal["auto"] = setting(
        "auto",
        help="inverse strength C of the L2 penalty; auto: by validation, 0.03 to 3 (svm) or 1 to 100 (logistic)",
        above=0,
    )

    def fit(self, train: Labelled, classes: int, seed: int, validation: Labelled | None = None) -> FittedBaseline:
        """Chooses on validation, and trains; deterministic."""
        wanted = Wanted(
            None if self.features == "auto" else self.features,
            self.ngrams,
            None if self.classifier == "auto" else self.classifier,
            None if self.regularization == "auto" else float(self.regularization),
        )
        columns = [column(texts, wanted.kinds) for texts in train.texts]
        bank = Bank(train.texts, None if validation is None else validation.texts)
        space = Space(bank, columns, wanted)
        shares = np.bincount(train.labels, minlength=classes) / len(train.labels)
        why = None
        if not space.fixed():
            why = "No training text has a word or a character"
        elif np.count_nonzero(shares) < 2:
            why = "The training texts have one label"
        if why:
            return FittedTfidf((), (), None, shares, (f"{why}: every text gets the training labels' shares.",))
        choice = choose(space, train.labels, None if validation is None else validation.labels, seed)
        reasons = "; ".join(dict.fromkeys(each.why for each in columns))
        notes = (f"Features: {described(choice.blocks)} ({reasons}).", *choice.notes)
        return FittedTfidf(choice.blocks, bank.vectorizers(choice.blocks), choice.linear, shares, notes)


METHOD = Tfidf
