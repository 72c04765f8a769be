"""TF-IDF with logistic regression: what a user would have without a transformer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from thriftune.methods.base import Baseline, FittedBaseline, Labelled
from thriftune.methods.ngrams import LONGEST, WORD, Features, choose, has_features
from thriftune.settings import setting

GRID = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""The strengths C that are tried on validation."""
UNCHOSEN = 10.0
"""The strength where there are no validation texts to choose it on."""
SEARCHED_TEXTS = 20_000
"""The search trains on at most so many texts."""


@dataclass(frozen=True)
class Column:
    """What one text column becomes: n-grams of one kind; none where no training text has any."""

    features: Features
    longest: int
    vectorizer: Any
    why: str

    def describe(self) -> str:
        """The kind of n-gram, in words."""
        return f"{self.features} n-grams up to {self.longest} ({self.why})"


@dataclass(frozen=True)
class FittedTfidf:
    """One vectoriser per text column and one logistic regression over all of them.

    Without a single n-gram in training there is no regression, and every text gets the training labels' shares.
    """

    columns: tuple[Column, ...]
    regression: Any
    strength: float
    shares: np.ndarray
    notes: tuple[str, ...]

    @property
    def trained_parameters(self) -> int:
        """Coefficients and intercepts."""
        return 0 if self.regression is None else int(self.regression.coef_.size + self.regression.intercept_.size)

    def predict(self, texts: list[list[str]]) -> np.ndarray:
        """Probabilities of shape (texts, classes); classes that training never saw get zero."""
        if self.regression is None:
            return np.tile(self.shares, (len(texts[0]), 1))
        out = np.zeros((len(texts[0]), len(self.shares)))
        out[:, self.regression.classes_] = self.regression.predict_proba(_matrix(self.columns, texts))
        return out

    def save(self, folder: Path) -> int:
        """Writes vocabulary.json, settings.json and weights.npz and returns their bytes."""
        words = [[] if c.vectorizer is None else c.vectorizer.get_feature_names_out().tolist() for c in self.columns]
        settings = {
            "columns": [{"features": column.features, "ngrams": column.longest} for column in self.columns],
            "regularization": self.strength,
        }
        for name, value in (("vocabulary", words), ("settings", settings)):
            (folder / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
        weights: dict[str, Any] = {"shares": self.shares}
        if self.regression is not None:
            weights |= {"coefficients": self.regression.coef_, "intercept": self.regression.intercept_}
            weights |= {"classes": self.regression.classes_}
        used = ((index, column.vectorizer) for index, column in enumerate(self.columns))
        weights |= {f"idf_{index}": v.idf_ for index, v in used if v is not None}
        np.savez(folder / "weights.npz", **weights)
        return sum((folder / name).stat().st_size for name in ("vocabulary.json", "settings.json", "weights.npz"))


@dataclass(frozen=True, kw_only=True)
class Tfidf(Baseline):
    """N-grams weighted by TF-IDF, each text column its own vocabulary, and logistic regression.

    By default the n-grams are of characters where the training texts do not part words by blanks. The longest n-gram
    and the strength are those with the best validation accuracy (of equals the lower loss); the search is part of
    training.
    """

    SUMMARY: ClassVar[str] = "TF-IDF and logistic regression: no transformer at all"
    SOURCE: ClassVar[str] = "baseline; scikit-learn"

    features: Literal["auto", "word", "character"] = setting(
        "auto", help="n-grams of words, or of characters; auto: characters where blanks do not part words"
    )
    ngrams: int | None = setting(
        None, help="longest n-gram; null: 1 or 2 words, 2 or 3 characters, by validation", minimum=1, maximum=5
    )
    regularization: float | Literal["auto"] = setting(
        "auto", help="inverse strength C of the L2 penalty; auto: the best of 0.1 to 100 on validation", above=0
    )

    def fit(self, train: Labelled, classes: int, seed: int, validation: Labelled | None = None) -> FittedBaseline:
        """Fits the vectorisers and the regression; deterministic."""
        kinds = [self._features(texts) for texts in train.texts]
        shares = np.bincount(train.labels, minlength=classes) / len(train.labels)
        if not any(has_features(kind, texts) for (kind, _), texts in zip(kinds, train.texts, strict=True)):
            blank = tuple(Column(kind, LONGEST[kind][-1], None, why) for kind, why in kinds)
            note = "No training text has a word or a character: every text gets the training labels' shares."
            return FittedTfidf(blank, None, UNCHOSEN, shares, (note,))
        options = [self._columns(kinds, train.texts, index) for index in range(2 if self.ngrams is None else 1)]
        strengths = GRID if self.regularization == "auto" else (float(self.regularization),)
        columns, strength, how = _choose(options, strengths, train, validation, seed)
        regression = _regression(strength).fit(_matrix(columns, train.texts), train.labels)
        used = "; ".join(dict.fromkeys(column.describe() for column in columns))
        return FittedTfidf(columns, regression, strength, shares, (f"Features: {used}.", *how))

    def _features(self, texts: list[str]) -> tuple[Features, str]:
        features: Features
        features, why = choose(texts) if self.features == "auto" else (self.features, "as the study file says")
        if features == "word" and not has_features("word", texts):
            return "character", "the texts have no words"
        return features, why

    def _columns(self, kinds: list[tuple[Features, str]], texts: list[list[str]], index: int) -> tuple[Column, ...]:
        """Each column's fitted vectoriser, with the first or second of the lengths that are tried."""
        made = []
        for (features, why), column in zip(kinds, texts, strict=True):
            longest = self.ngrams or LONGEST[features][index]
            fitted = vectorizer(features, longest).fit(column) if has_features(features, column) else None
            made.append(Column(features, longest, fitted, why))
        return tuple(made)


def _choose(
    options: list[tuple[Column, ...]],
    strengths: tuple[float, ...],
    train: Labelled,
    validation: Labelled | None,
    seed: int,
) -> tuple[tuple[Column, ...], float, list[str]]:
    """The features and the strength with the best validation accuracy, and how they were chosen."""
    if len(options) * len(strengths) == 1:
        return options[0], strengths[0], []
    if validation is None:
        strength = strengths[0] if len(strengths) == 1 else UNCHOSEN
        return options[-1], strength, [f"C {strength:g} and the n-grams were not chosen: there is no validation split."]
    rows = np.arange(len(train.labels))
    drawn = ""
    if len(rows) > SEARCHED_TEXTS:
        rows = np.sort(np.random.default_rng(seed).choice(len(rows), SEARCHED_TEXTS, replace=False))
        drawn = f", each trained on {SEARCHED_TEXTS:,} texts"
    tried: dict[tuple[int, float], tuple[float, float]] = {}
    for index, columns in enumerate(options):
        features, held_out = _matrix(columns, train.texts)[rows], _matrix(columns, validation.texts)
        found = _tried(strengths, features, train.labels[rows], held_out, validation.labels)
        tried |= {(index, strength): scores for strength, scores in found.items()}
    best, strength = max(tried, key=lambda each: tried[each])
    listed = []
    for index, columns in enumerate(options):
        longest = "/".join(dict.fromkeys(str(column.longest) for column in columns))
        scores = ", ".join(f"{c:g} {accuracy:.1%}" for (i, c), (accuracy, _) in tried.items() if i == index)
        listed.append(f"n-grams up to {longest}: C {scores}")
    how = f"C {strength:g} and the n-grams were chosen by validation accuracy{drawn} ({'; '.join(listed)})."
    return options[best], strength, [how]


def vectorizer(features: Features, longest: int) -> Any:
    """scikit-learn's TF-IDF over n-grams of 1 to `longest` words or characters; lower case, logarithmic counts."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    kind = {"token_pattern": WORD} if features == "word" else {"analyzer": "char", "token_pattern": None}
    return TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=True, **kind)


def _matrix(columns: tuple[Column, ...], texts: list[list[str]]) -> Any:
    """The features of all columns side by side, sparse, (texts, n-grams)."""
    from scipy.sparse import hstack

    used = [(c.vectorizer, column) for c, column in zip(columns, texts, strict=True) if c.vectorizer is not None]
    return hstack([v.transform(column) for v, column in used]).tocsr()


def _regression(strength: float, warm_start: bool = False) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000, warm_start=warm_start)


def _tried(
    strengths: tuple[float, ...], features: Any, labels: np.ndarray, held_out: Any, truth: np.ndarray
) -> dict[float, tuple[float, float]]:
    """Validation accuracy and negative loss of each strength; each fit starts where the one before ended."""
    regression = _regression(strengths[0], warm_start=True)
    found = {}
    for strength in strengths:
        regression.set_params(C=strength).fit(features, labels)
        probabilities = np.zeros((len(truth), max(int(truth.max()), int(labels.max())) + 1))
        probabilities[:, regression.classes_] = regression.predict_proba(held_out)
        true = np.clip(probabilities[np.arange(len(truth)), truth], 1e-12, None)
        found[strength] = (float((probabilities.argmax(axis=1) == truth).mean()), float(np.log(true).mean()))
    return found


METHOD = Tfidf
