"""Four metrics against scikit-learn, and their intervals' coverage."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as reference
from tests.analysis.figures import figure

from thriftune.analysis.statistics.inference import difference, measured
from thriftune.analysis.statistics.metric_intervals import (
    METRICS,
    Counts,
    Metric,
    contributions,
    counts,
    measure,
    of_confusion,
    score,
    values,
    weight_of_a_text,
    why_no_interval,
    with_weight,
)

REFERENCE = {
    "accuracy": reference.accuracy_score,
    "macro_f1": lambda label, predicted: reference.f1_score(label, predicted, average="macro"),
    "balanced_accuracy": reference.balanced_accuracy_score,
    "mcc": reference.matthews_corrcoef,
}


def predictions(seed: int, texts: int, classes: int, runs: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    label = rng.choice(classes, texts, p=rng.dirichlet(np.full(classes, 5.0)))
    return label, np.where(rng.random((runs, texts)) < 0.6, label, rng.integers(0, classes, (runs, texts)))


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("classes", [2, 3, 9, 77])
def test_values_and_contributions_are_scikit_learns(metric: Metric, classes: int) -> None:
    label, predicted = predictions(classes, 500, classes)
    label[label == classes - 1] = 0
    predicted[0][predicted[0] == 0] = 1
    expected = [REFERENCE[metric](label, run) for run in predicted]
    assert values(metric, counts(label, predicted, classes + 1)) == pytest.approx(expected, abs=1e-12)
    matrices = [reference.confusion_matrix(label, run, labels=range(classes + 1)).tolist() for run in predicted]
    assert [of_confusion(metric, each) for each in matrices] == pytest.approx(expected, abs=1e-12)
    found = contributions(metric, label, predicted, classes + 1)
    assert found.shape == (3, 500)
    assert found.mean(axis=1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("metric", METRICS)
def test_one_label_or_one_prediction(metric: Metric) -> None:
    label = np.array([0, 0, 1, 1, 1])
    for given in (np.zeros(5, dtype=int), label):
        for true in (label, np.zeros(5, dtype=int)):
            expected = REFERENCE[metric](true, given)
            assert values(metric, counts(true, given[None], 2))[0] == pytest.approx(expected, abs=1e-12)
            assert contributions(metric, true, given[None], 2).mean() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", METRICS)
def test_contributions_have_the_bootstraps_spread(metric: Metric) -> None:
    label, predicted = predictions(2, 1500, 4, 2)
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(600):
        rows = rng.integers(0, 1500, 1500)
        both = values(metric, counts(label[rows], predicted[:, rows], 4))
        drawn.append([both[0], both[0] - both[1]])
    first, second = contributions(metric, label, predicted, 4)
    analytical = [first.std() / np.sqrt(1500), (first - second).std() / np.sqrt(1500)]
    assert np.std(drawn, axis=0) == pytest.approx(analytical, rel=0.12)


def test_a_class_with_few_texts_gives_a_reason() -> None:
    label = np.repeat([0, 1, 2], [50, 9, 10])
    names = ["a", "b", "c"]
    assert why_no_interval("macro_f1", label, names) == "fewer than 10 test texts of b (9)"
    assert why_no_interval("balanced_accuracy", label[label != 1], names) == "fewer than 10 test texts of b (0)"
    assert why_no_interval("macro_f1", np.repeat([0, 1, 2], 10), names) is None
    assert why_no_interval("mcc", label, names) is None
    many = why_no_interval("macro_f1", np.arange(6), list("abcdef"))
    assert many == "fewer than 10 test texts of a (1), b (1), c (1) and 3 more"


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_hold_their_value_and_stay_on_the_scale(metric: Metric) -> None:
    label = np.repeat([0, 1, 2], [100, 40, 10])
    wrong = np.array([1] * 100 + [2] * 40 + [0] * 10)
    for given in (label, wrong, np.zeros(150, dtype=int)):
        found = score(metric, measure(metric, label, np.stack([given, given]), 3), weight_of_a_text(metric, label, 3))
        least = -1 if metric == "mcc" else 0
        assert least <= found.low <= found.value <= found.high <= 1
        assert found.low < found.high


def test_differences_rest_on_the_rarest_class() -> None:
    label, predicted = predictions(3, 600, 3, 2)
    for metric in METRICS:
        first, second = (measure(metric, label, run[None], 3) for run in predicted)
        weight = weight_of_a_text(metric, label, 3)
        found, plain = with_weight(difference(first, second), weight), difference(first, second)
        assert found.estimate == pytest.approx(plain.estimate)
        assert found.error >= plain.error
    assert weight_of_a_text("accuracy", label, 3) == pytest.approx(1 / 600)
    same = measured(np.ones((1, 600)))
    assert with_weight(difference(same, same), 1 / (3 * 10)).error == pytest.approx(np.sqrt(0.5) / 30)


def coverage(studies: int, metric: Metric, rare: float, recall: float, seed: int) -> tuple[float, float]:
    """How often the intervals of a score and of a difference hold the truth: 300 texts, at least 10 rare."""
    prior = np.array([1 - rare, rare])
    rows = np.array([[[0.98, 0.02], [1 - r, r]] for r in (recall, recall - 0.05)])
    joint = prior[None, :, None] * rows
    true = values(metric, Counts(np.diagonal(joint, axis1=1, axis2=2), joint.sum(1), np.tile(prior, (2, 1))))
    rng = np.random.default_rng(seed)
    held = []
    while len(held) < studies:
        label = (rng.random(300) < rare).astype(int)
        if label.sum() < 10:
            continue
        shared, fresh = rng.random((2, 300))
        levels = shared, np.where(rng.random(300) < 0.7, shared, fresh)
        predicted = np.stack([(u > row[label, 0]).astype(int) for u, row in zip(levels, rows, strict=True)])
        methods = [measure(metric, label, run[None], 2) for run in predicted]
        weight = weight_of_a_text(metric, label, 2)
        one = score(metric, methods[0], weight)
        low, high = with_weight(difference(*methods), weight).interval(0.95)
        held.append([one.low <= true[0] <= one.high, low <= true[0] - true[1] <= high])
    return tuple(np.mean(held, axis=0))


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_hold_the_truth(metric: Metric) -> None:
    assert min(coverage(100, metric, 0.06, 0.8, 4)) >= 0.92 - 0.07


@pytest.mark.slow
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("rare", "recall"), [(0.05, 0.6), (0.05, 0.9), (0.2, 0.8)])
def test_intervals_hold_the_truth_in_two_thousand_studies(metric: Metric, rare: float, recall: float) -> None:
    assert (
        min(figure(each, "coverage", metric, rare, recall) for each in coverage(2000, metric, rare, recall, 5)) >= 0.92
    )
