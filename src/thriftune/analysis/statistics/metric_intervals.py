"""Accuracy, macro F1, balanced accuracy and MCC: values, what each text contributes to them, and intervals.

All four are functions of three counts a class: how many texts have the label, how many are predicted to, and how many
of those are right. So are their derivatives, from which the intervals come (infinitesimal jackknife, Efron, 1982).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import special, stats

from thriftune.analysis.statistics.basics import Floats, wilson
from thriftune.analysis.statistics.inference import PSEUDO_TEXTS, Difference, Ints, Measured, measured

Metric = Literal["accuracy", "macro_f1", "balanced_accuracy", "mcc"]
METRICS: tuple[Metric, ...] = ("accuracy", "macro_f1", "balanced_accuracy", "mcc")
FEWEST_TEXTS = 10
"""Of every class, for an interval of a score that weighs all classes alike: with 2 texts it covers the truth in 40%."""
BY_CLASS: tuple[Metric, ...] = ("macro_f1", "balanced_accuracy")


@dataclass(frozen=True)
class Counts:
    """Texts by class, each of shape (..., classes)."""

    right: Floats
    predicted: Floats
    label: Floats


def counts(label: Ints, predicted: Ints, classes: int) -> Counts:
    """Counts of several runs; `label` has shape (texts,), `predicted` (runs, texts): each field (runs, classes)."""
    runs = len(predicted)
    offset = np.arange(runs)[:, None] * classes
    cells = np.bincount((predicted + offset).ravel(), minlength=runs * classes).reshape(runs, classes)
    hit = predicted == label
    right = np.bincount((predicted + offset)[hit], minlength=runs * classes).reshape(runs, classes)
    support = np.broadcast_to(np.bincount(label, minlength=classes), (runs, classes))
    return Counts(*(np.asarray(each, dtype=np.float64) for each in (right, cells, support)))


def values(metric: Metric, found: Counts) -> Floats:
    """The metric of each row of counts, shape (...,), as scikit-learn's.

    Macro F1 is over the classes that occur or are predicted, balanced accuracy over those that occur. MCC is that of
    several classes (Gorodkin, 2004), 0 where all texts have one label or one prediction.
    """
    texts = found.label.sum(axis=-1)
    if metric == "accuracy":
        return np.asarray(found.right.sum(axis=-1) / texts)
    if metric == "macro_f1":
        return _mean_ratio(2 * found.right, found.label + found.predicted)
    if metric == "balanced_accuracy":
        return _mean_ratio(found.right, found.label)
    agreement, of_predicted, of_label = _mcc_parts(found)
    scale = np.sqrt(of_predicted * of_label)
    return np.asarray(np.divide(agreement, scale, out=np.zeros(scale.shape), where=scale > 0))


def of_confusion(metric: Metric, confusion: Sequence[Sequence[int]]) -> float:
    """The metric of a confusion matrix: rows the true labels, columns the predicted ones."""
    found = np.asarray(confusion, dtype=np.float64)
    return float(values(metric, Counts(found.diagonal(), found.sum(axis=0), found.sum(axis=1))))


def _mean_ratio(above: Floats, below: Floats) -> Floats:
    ratio = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    return np.asarray(ratio.sum(axis=-1) / (below > 0).sum(axis=-1))


def _mcc_parts(found: Counts) -> tuple[Floats, Floats, Floats]:
    """Covariance of label and prediction, and the variance of either, all times the square of the texts."""
    texts = found.label.sum(axis=-1)
    agreement = found.right.sum(axis=-1) * texts - (found.predicted * found.label).sum(axis=-1)
    return agreement, texts**2 - (found.predicted**2).sum(axis=-1), texts**2 - (found.label**2).sum(axis=-1)


def contributions(metric: Metric, label: Ints, predicted: Ints, classes: int) -> Floats:
    """What each text contributes to each run's metric, shape (runs, texts): the value plus the text's influence on it.

    A row's mean is the metric, and the variance of that mean is the bootstrap's in large samples. `predicted` has
    shape (runs, texts).
    """
    right: Floats = np.asarray(predicted == label, dtype=np.float64)
    if metric == "accuracy":
        return right
    found = counts(label, predicted, classes)
    value = values(metric, found)[:, None]
    texts, runs = len(label), np.arange(len(predicted))[:, None]
    if metric == "mcc":
        return np.asarray(value + _mcc_influence(found, label, predicted, right, value))
    below = found.label + found.predicted if metric == "macro_f1" else found.label
    inverse = np.divide(1.0, below, out=np.zeros(below.shape), where=below > 0)
    classes_in = (below > 0).sum(axis=-1)[:, None]
    each = (2 if metric == "macro_f1" else 1) * found.right * inverse
    slope = -each * inverse
    if metric == "macro_f1":
        change = slope[:, label] + slope[runs, predicted] + right * 2 * inverse[:, label]
    else:
        change = slope[:, label] + right * inverse[:, label]
    return np.asarray(value + texts / classes_in * change)


def _mcc_influence(found: Counts, label: Ints, predicted: Ints, right: Floats, value: Floats) -> Floats:
    texts = len(label)
    of_label, of_predicted = found.label / texts, found.predicted / texts
    _, first, second = (each[:, None] / texts**2 for each in _mcc_parts(found))
    scale = np.sqrt(first * second)
    runs = np.arange(len(predicted))[:, None]
    of_its_label, of_its_prediction = of_label[runs, predicted], of_predicted[:, label]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (right - of_its_label - of_its_prediction) / scale
        slope += value * (of_predicted[runs, predicted] / first + of_label[:, label] / second)
    slope[scale[:, 0] == 0] = 0
    return np.asarray(slope - slope.mean(axis=1, keepdims=True))


def why_no_interval(metric: Metric, label: Ints, names: Sequence[str]) -> str | None:
    """Why no interval is given: a score that weighs classes alike rests on too few texts of one; None where it is."""
    if metric not in BY_CLASS:
        return None
    support = np.bincount(label, minlength=len(names))
    few = [f"{name} ({n})" for name, n in zip(names, support, strict=True) if n < FEWEST_TEXTS]
    if not few:
        return None
    more = f" and {len(few) - 3} more" if len(few) > 3 else ""
    return f"fewer than {FEWEST_TEXTS} test texts of {', '.join(few[:3])}{more}"


@dataclass(frozen=True)
class Score:
    """A method's mean score over its seeds, with the ends of its interval."""

    value: float
    low: float
    high: float


def measure(metric: Metric, label: Ints, predicted: Ints, classes: int, deterministic: bool = False) -> Measured:
    """One method by one metric; `predicted` has shape (seeds, texts)."""
    return measured(contributions(metric, label, predicted, classes), deterministic)


def weight_of_a_text(metric: Metric, label: Ints, classes: int) -> float:
    """What one text is worth: 1 over the texts, or of the rarest class where all classes weigh alike."""
    if metric not in BY_CLASS:
        return 1 / len(label)
    support = np.bincount(label, minlength=classes)
    support = support[support > 0]
    return 1 / (len(support) * float(support.min()))


def score(metric: Metric, method: Measured, weight: float, level: float = 0.95) -> Score:
    """The interval over other texts, and other seeds where there are several: normal theory on the logit.

    For MCC on Fisher's z. One run's accuracy has Wilson's (1927) interval. The variance counts a quarter of the square
    of `weight` (that of one undecided text of the rarest class) beside what was seen, so that a class without errors
    is no proof. In simulations it covers the truth in 92 to 99% where every class has at least `FEWEST_TEXTS` texts.
    """
    texts, value = len(method.contributions), float(method.scores.mean())
    if metric == "accuracy" and method.seeds == 1:
        low, high = wilson(round(value * texts), texts, level)
        return Score(value, low, high)
    text_part = float(method.contributions.var()) / texts + weight**2 / 4
    seed_part, freedom = 0.0, math.inf
    if method.seeds > 1:
        text_part = max(0.0, text_part - method.floor / method.seeds)
        seed_part = max(method.spread, method.floor) / method.seeds
        freedom = (method.seeds - 1) * ((text_part + seed_part) / seed_part) ** 2 if seed_part else math.inf
    reach = float(stats.t.ppf(0.5 + level / 2, freedom)) * math.sqrt(text_part + seed_part)
    return transformed(metric, value, reach, weight / 2)


def transformed(metric: Metric, value: float, reach: float, edge: float) -> Score:
    """The interval on the transformed scale; values closer than `edge` to an end of the scale count as that close."""
    least, wide = (-1.0, 2.0) if metric == "mcc" else (0.0, 1.0)
    share = min(max((value - least) / wide, edge / wide), 1 - edge / wide)
    step = reach / wide / (share * (1 - share))
    middle = math.log(share / (1 - share))
    low, high = (least + wide * float(special.expit(middle + sign * step)) for sign in (-1, 1))
    return Score(value, min(low, value), max(high, value))


def with_weight(found: Difference, weight: float) -> Difference:
    """The difference with the variance of half a text of that weight in favour of either, where that is more.

    `weight` is what a text of the rarest class is worth (`weight_of_a_text`). Without it the interval of a macro F1 or
    balanced accuracy covers the truth in as few as 63% of samples where hardly a text of a rare class is wrong.
    """
    more = max(0.0, weight**2 / 2 - PSEUDO_TEXTS / (found.texts + PSEUDO_TEXTS) ** 2)
    return replace(found, text_part=found.text_part + more)
