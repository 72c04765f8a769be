"""TF-IDF with logistic regression: what a user would have without a transformer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from thriftune.methods.base import Baseline, FittedBaseline
from thriftune.settings import setting

WORD = r"(?u)\b\w+\b"
"""A word is one letter or more: "a" and "I" tell apart what they stand in."""


@dataclass(frozen=True)
class FittedTfidf:
    """One vectoriser per text column and one logistic regression over all of them."""

    vectorizers: tuple[Any, ...]
    regression: Any
    classes: int
    trained_parameters: int

    def predict(self, texts: list[list[str]]) -> np.ndarray:
        """Probabilities of shape (texts, classes); classes that training never saw get zero."""
        from scipy.sparse import hstack

        features = hstack([v.transform(column) for v, column in zip(self.vectorizers, texts, strict=True)])
        out = np.zeros((len(texts[0]), self.classes))
        out[:, self.regression.classes_] = self.regression.predict_proba(features.tocsr())
        return out

    def save(self, folder: Path) -> int:
        """Writes vocabulary.json and weights.npz and returns their bytes."""
        words = [v.get_feature_names_out().tolist() for v in self.vectorizers]
        (folder / "vocabulary.json").write_text(json.dumps(words, ensure_ascii=False), encoding="utf-8")
        idf = {f"idf_{index}": v.idf_ for index, v in enumerate(self.vectorizers)}
        np.savez(
            folder / "weights.npz",
            coefficients=self.regression.coef_,
            intercept=self.regression.intercept_,
            classes=self.regression.classes_,
            **idf,
        )
        return sum((folder / name).stat().st_size for name in ("vocabulary.json", "weights.npz"))


@dataclass(frozen=True, kw_only=True)
class Tfidf(Baseline):
    """Word n-grams weighted by TF-IDF, each text column its own vocabulary, and logistic regression."""

    SUMMARY: ClassVar[str] = "TF-IDF and logistic regression: no transformer at all"
    SOURCE: ClassVar[str] = "baseline; scikit-learn"

    ngrams: int = setting(2, help="longest word n-gram", minimum=1, maximum=5)
    regularization: float = setting(1.0, help="inverse strength C of the L2 penalty", above=0)

    def fit(self, texts: list[list[str]], labels: np.ndarray, classes: int, seed: int) -> FittedBaseline:
        """Fits the vectorisers and the regression; deterministic."""
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression

        vectorizers = tuple(
            TfidfVectorizer(ngram_range=(1, self.ngrams), sublinear_tf=True, token_pattern=WORD).fit(column)
            for column in texts
        )
        features = hstack([v.transform(column) for v, column in zip(vectorizers, texts, strict=True)]).tocsr()
        regression = LogisticRegression(C=self.regularization, max_iter=1000).fit(features, labels)
        parameters = regression.coef_.size + regression.intercept_.size
        return FittedTfidf(vectorizers, regression, classes, int(parameters))


METHOD = Tfidf
