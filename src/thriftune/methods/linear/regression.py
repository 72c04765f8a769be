"""Logistic regression on vectors, its penalty and class weights chosen on validation (scikit-learn)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from thriftune.methods.linear.classifier import cross_entropy, fitted
from thriftune.metrics import sign

Select = Literal["accuracy", "macro_f1", "loss"]
GRID = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The strengths C that may be tried."""
UNCHOSEN = 10.0
"""The strength where there are no validation texts to choose it on."""
SEARCHED_NUMBERS = 1_000_000_000
"""Texts times their numbers times classes: the search trains on fewer texts where this is more."""
FEWEST_SEARCHED = 1_000
TOLERANCE = 1e-5
"""Of the gradient: fits that start where another ended need more than the usual 1e-4 to get anywhere."""
STEPS = 1000
NEVER = -1e4
"""The bias of a class that training never saw: its probability is 0."""


@dataclass(frozen=True)
class Vectors:
    """Texts as vectors, with their labels."""

    values: np.ndarray
    """(texts, hidden)."""
    labels: np.ndarray
    """Label ids of shape (texts,)."""

    def rows(self, rows: np.ndarray) -> Vectors:
        """Some of the texts."""
        return Vectors(self.values[rows], self.labels[rows])


@dataclass(frozen=True)
class Setting:
    """What one regression is fitted with."""

    strength: float
    balanced: bool

    def __str__(self) -> str:
        return f"C {self.strength:g}{' balanced' if self.balanced else ''}"


@dataclass(frozen=True)
class Score:
    """How a setting does on validation."""

    accuracy: float
    macro_f1: float
    loss: float

    def key(self, select: Select) -> tuple[float, float]:
        """What orders settings, the best last: the score that selects, then the lower loss."""
        return sign(select) * getattr(self, select), -self.loss


@dataclass(frozen=True)
class Regression:
    """A fitted regression, in the numbers that are stored and predict."""

    weight: np.ndarray
    """(classes, hidden), float32."""
    bias: np.ndarray
    """(classes,), float32."""
    setting: Setting
    notes: tuple[str, ...] = ()

    def logits(self, values: np.ndarray) -> np.ndarray:
        """Logits (texts, classes) of vectors (texts, hidden)."""
        return np.asarray(values @ self.weight.T.astype(values.dtype) + self.bias)

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Probabilities of shape (texts, classes), float64."""
        logits = self.logits(values).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def fit_regression(
    train: Vectors,
    validation: Vectors | None,
    classes: int,
    strength: float | None,
    balanced: bool | None,
    select: Select = "accuracy",
    seed: int = 0,
) -> Regression:
    """The regression on training vectors; what is None of strength and balance is chosen on validation.

    Without validation texts C is 10 and every text counts alike. The search climbs from there along `GRID`, then tries
    balanced classes; of many texts it sees a sample drawn from `seed`, and the last fit sees all of them.
    """
    weights = [balanced] if balanced is not None else [False, True] if _uneven(train.labels) else [False]
    first = Setting(UNCHOSEN if strength is None else strength, weights[0])
    if (strength is not None and len(weights) == 1) or len(np.unique(train.labels)) == 1:
        return _fit(train, first, classes)
    if validation is None:
        what = [f"C {first.strength:g}"] * (strength is None) + ["class weights"] * (balanced is None)
        verb = "was" if len(what) == 1 else "were"
        alone = _fit(train, first, classes)
        note = f"{' and the '.join(what).capitalize()} {verb} not chosen: there is no validation split."
        return replace(alone, notes=(note, *alone.notes))
    rows = _searched(train, classes, seed)
    search = _Search(train if rows is None else train.rows(rows), validation, classes, select)
    best = search.climb(first) if strength is None else first
    for other in weights[1:]:
        turned = replace(best, balanced=other)
        best = search.better(best, search.climb(turned) if strength is None else turned)
    drawn = "" if rows is None else f", each trained on {len(rows):,} texts"
    ordered = sorted(search.found.items(), key=lambda item: (item[0].balanced, item[0].strength))
    tried = ", ".join(f"{each} {_shown(score, select)}" for each, score in ordered)
    note = f"{best} was chosen by validation {select.replace('_', ' ')}{drawn} ({tried})."
    chosen = _fit(train, best, classes)
    return replace(chosen, notes=(note, *chosen.notes))


class _Search:
    """Settings tried so far; a fit starts where the one before ended."""

    def __init__(self, train: Vectors, validation: Vectors, classes: int, select: Select) -> None:
        self.found: dict[Setting, Score] = {}
        self._train, self._validation, self._classes, self._select = train, validation, classes, select
        self._model = _model(warm_start=True)

    def climb(self, start: Setting) -> Setting:
        """The best setting that is reached from one by steps along the grid, up and down, each while it helps."""
        best = start
        for step in (1, -1):
            at = GRID.index(start.strength)
            while 0 <= (at := at + step) < len(GRID):
                near = replace(start, strength=GRID[at])
                if self.better(best, near) is best and not self._level(best, near):
                    break
                best = self.better(best, near)
        return best

    def better(self, first: Setting, second: Setting) -> Setting:
        """The better of two, the first of equals."""
        return max((first, second), key=lambda each: self._score(each).key(self._select))

    def _level(self, first: Setting, second: Setting) -> bool:
        """Whether two settings do equally well but for the loss: what lies beyond may still be better."""
        return self._score(first).key(self._select)[0] == self._score(second).key(self._select)[0]

    def _score(self, each: Setting) -> Score:
        if each not in self.found:
            tried = _fit(self._train, each, self._classes, self._model)
            self.found[each] = scored(tried.probabilities(self._validation.values), self._validation.labels)
        return self.found[each]


def scored(probabilities: np.ndarray, labels: np.ndarray) -> Score:
    """Accuracy, mean F1 of the classes that occur or are predicted, and mean cross-entropy in nats."""
    predicted, classes = probabilities.argmax(axis=1), probabilities.shape[1]
    hits = np.bincount(labels[predicted == labels], minlength=classes)
    total = np.bincount(labels, minlength=classes) + np.bincount(predicted, minlength=classes)
    f1 = 2 * hits[total > 0] / total[total > 0]
    return Score(float((predicted == labels).mean()), float(f1.mean()), cross_entropy(probabilities, labels))


def _fit(train: Vectors, each: Setting, classes: int, model: Any = None) -> Regression:
    """The regression for all classes, in float32; those that training never saw get no probability."""
    seen = np.unique(train.labels)
    weight = np.zeros((classes, train.values.shape[1]), dtype=np.float32)
    bias = np.full(classes, NEVER, dtype=np.float32)
    if len(seen) == 1:
        bias[seen] = 0.0
        return Regression(weight, bias, each)
    model = _model() if model is None else model
    model.set_params(C=each.strength, class_weight="balanced" if each.balanced else None)
    linear = fitted(model, "logistic", train.values, train.labels)
    weight[seen], bias[seen] = linear.coefficients, linear.intercept
    if len(seen) == 2:  # one row: the log odds of the second class
        weight[seen[0]], bias[seen[0]] = -weight[seen[1]], -bias[seen[1]]
        weight /= 2
        bias[seen] /= 2
    stopped = f"The regression stopped after {STEPS:,} steps, short of its optimum."
    return Regression(weight, bias, each, () if linear.converged else (stopped,))


def _model(warm_start: bool = False) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(tol=TOLERANCE, max_iter=STEPS, warm_start=warm_start)


def _uneven(labels: np.ndarray) -> bool:
    """Whether some class that occurs has more texts than another: else balancing changes nothing."""
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    return bool(counts.min() < counts.max())


def _searched(train: Vectors, classes: int, seed: int) -> np.ndarray | None:
    """The rows that the search trains on, where it does not see all."""
    texts, hidden = train.values.shape
    most = max(FEWEST_SEARCHED, SEARCHED_NUMBERS // (hidden * classes))
    if texts <= most:
        return None
    return np.sort(np.random.default_rng(seed).choice(texts, most, replace=False))


def _shown(score: Score, select: Select) -> str:
    return f"{score.loss:.3f}" if select == "loss" else f"{getattr(score, select):.1%}"
