"""Linear classifiers over sparse features: logistic regression, or a linear SVM with a scale for its probabilities."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

Kind = Literal["logistic", "svm"]

CALLED: dict[Kind, str] = {"logistic": "logistic regression", "svm": "linear SVM"}
PASSES = 300
"""A solver's most iterations."""
FOLDS = 3
"""Into so many parts training texts are divided where the scale has no other texts to rest on."""
LARGEST_SCALE = 1e3


@dataclass(frozen=True)
class Linear:
    """One score per class: features times coefficients plus intercept; its probabilities are softmax of scale * score.

    With two classes there is one row, the score of the second; the first has 0. A logistic regression has the scale 1.
    """

    kind: Kind
    strength: float
    """C: the inverse strength of the L2 penalty."""
    coefficients: np.ndarray
    """float32, (classes or 1, features)."""
    intercept: np.ndarray
    """float32, (classes or 1,)."""
    classes: np.ndarray
    """The label ids that training had, ascending; at least two."""
    scale: float = 1.0
    converged: bool = True

    def describe(self) -> str:
        """For example "linear SVM with C 1"."""
        return f"{CALLED[self.kind]} with C {self.strength:g}"

    def scores(self, features: Any) -> np.ndarray:
        """Decision values of shape (texts, training's classes)."""
        scores = np.asarray(features @ self.coefficients.T.astype(np.float64)) + self.intercept
        return scores if scores.shape[1] > 1 else np.hstack([np.zeros_like(scores), scores])

    def probabilities(self, features: Any, classes: int) -> np.ndarray:
        """Probabilities of shape (texts, classes); classes that training never saw get zero."""
        out = np.zeros((features.shape[0], classes))
        out[:, self.classes] = np.exp(_log_softmax(self.scale * self.scores(features)))
        return out

    def scaled(self, features: Any, labels: np.ndarray) -> Linear:
        """With the scale that fits these texts, which training has not seen; a logistic regression stays as it is."""
        if self.kind == "logistic":
            return self
        return replace(self, scale=fit_scale([(self.scores(features), _positions(self.classes, labels))]))

    def scaled_by_folds(self, features: Any, labels: np.ndarray, seed: int) -> Linear:
        """With the scale that fits training texts: each third is scored by what the other two taught.

        1 where the classes have too few texts for it.
        """
        order = np.lexsort((np.random.default_rng(seed).random(len(labels)), labels))
        fold = np.empty(len(labels), dtype=np.int64)
        fold[order] = np.arange(len(labels)) % FOLDS
        parts = []
        for each in range(FOLDS):
            inside, outside = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
            if len(np.unique(labels[inside])) > 1 and len(outside):
                taught = fit(self.kind, self.strength, features[inside], labels[inside], seed)
                parts.append((taught.scores(features[outside]), _positions(taught.classes, labels[outside])))
        return replace(self, scale=fit_scale(parts))


def fit(kind: Kind, strength: float, features: Any, labels: np.ndarray, seed: int) -> Linear:
    """Trains on (texts, features) with at least two classes; deterministic. An SVM's scale is still to be fitted.

    The SVM is one against the rest for each class, with squared hinge loss.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    solver = (
        LogisticRegression(C=strength, max_iter=PASSES)
        if kind == "logistic"
        else LinearSVC(C=strength, max_iter=PASSES, random_state=seed % 2**32)
    )
    return fitted(solver, kind, features, labels)


def fitted(solver: Any, kind: Kind, features: Any, labels: np.ndarray) -> Linear:
    """What scikit-learn's solver makes of (texts, features) with at least two classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # `converged` says it
        solver.fit(features, labels)
    return Linear(
        kind,
        solver.C,
        solver.coef_.astype(np.float32),
        solver.intercept_.astype(np.float32),
        solver.classes_,
        converged=bool(np.max(solver.n_iter_) < solver.max_iter),
    )


def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log of the true class's probability (texts, classes), in nats; none counts as less than 1e-12."""
    true = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)
    return float(-np.log(true).mean())


def fit_scale(parts: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """The scale (an inverse temperature) with the least log loss of softmax(scale * scores); 1 without any text.

    `parts` has decision values (texts, classes) and the position of each text's true class, -1 where there is none.
    Targets are smoothed as in Platt (1999), so that texts which are all classified rightly do not make it infinite.
    """
    from scipy.optimize import minimize_scalar

    parts = [(scores[truth >= 0], truth[truth >= 0]) for scores, truth in parts]
    texts = sum(len(truth) for _, truth in parts)
    if not texts:
        return 1.0
    doubt = 1 / (texts + 2)

    def loss(logarithm: float) -> float:
        total = 0.0
        for scores, truth in parts:
            logs = _log_softmax(np.exp(logarithm) * scores)
            total -= (1 - doubt) * logs[np.arange(len(truth)), truth].sum() + doubt * logs.mean(axis=1).sum()
        return total / texts

    bounds = (-np.log(LARGEST_SCALE), np.log(LARGEST_SCALE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _positions(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Where each label stands among the classes; -1 where it does not."""
    found = np.minimum(np.searchsorted(classes, labels), len(classes) - 1)
    return np.where(classes[found] == labels, found, -1)


def _log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
