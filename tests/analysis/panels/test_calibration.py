"""Calibration error, Brier score and temperature: references, and the ranking by overconfidence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss
from tests.analysis.panels.planted import LABELS, texts
from tests.report.synthetic import write_runs

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.panels.errors import calibration, confidence
from thriftune.analysis.statistics.reliability import (
    BINS,
    bins,
    brier,
    confidence_of,
    overconfidence,
    scaled,
    temperature,
)

COUNT = 4000


def logits_and_labels(seed: int, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their own softmax: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (COUNT, classes))
    return logits, (softmax(logits, axis=1).cumsum(axis=1) < rng.random((COUNT, 1))).sum(axis=1)


def test_bins_are_scikit_learns() -> None:
    logits, label = logits_and_labels(0)
    probabilities = softmax(1.7 * logits, axis=1)
    sure, right = confidence_of(probabilities, label)
    accuracy, mean = calibration_curve(right, sure, n_bins=BINS, strategy="uniform")
    found = bins(probabilities, label)
    held = found.texts > 0
    assert found.accuracy[held] == pytest.approx(accuracy)
    assert found.confidence[held] == pytest.approx(mean)
    by_hand = sum(n / COUNT * abs(a - c) for n, a, c in zip(found.texts[held], accuracy, mean, strict=True))
    assert found.error == pytest.approx(by_hand)
    certain = bins(np.eye(3)[label], label)
    assert certain.texts[-1] == COUNT
    assert certain.error == 0


@pytest.mark.parametrize("classes", [2, 5])
def test_brier_score(classes: int) -> None:
    logits, label = logits_and_labels(1, classes)
    probabilities = softmax(logits, axis=1)
    expected = ((probabilities - np.eye(classes)[label]) ** 2).sum(axis=1).mean()
    assert brier(probabilities, label) == pytest.approx(expected)
    if classes == 2:
        assert brier(probabilities, label) == pytest.approx(2 * brier_score_loss(label, probabilities[:, 1]))


@pytest.mark.parametrize("true", [0.4, 1.0, 3.0])
def test_temperature_finds_the_one_that_was_planted(true: float) -> None:
    logits, label = logits_and_labels(2)
    probabilities = softmax(true * logits, axis=1)
    found = temperature(probabilities, label)
    assert found == pytest.approx(true, rel=0.06)
    reference = minimize_scalar(
        lambda t: -log_softmax(true * logits / t, axis=1)[np.arange(COUNT), label].mean(), bounds=(0.1, 10)
    ).x
    assert found == pytest.approx(reference, rel=1e-3)
    after = scaled(probabilities, found)
    np.testing.assert_allclose(after, softmax(true * logits / found, axis=1), rtol=1e-6)
    assert (after.argmax(axis=1) == probabilities.argmax(axis=1)).all()
    assert log_loss(label, after) <= log_loss(label, probabilities)
    if true == 3.0:
        assert bins(after, label).error < 0.3 * bins(probabilities, label).error


def test_certain_probabilities_do_not_break_it() -> None:
    label = np.array([0, 1, 2, 0])
    probabilities = np.eye(3)[[0, 1, 2, 1]]
    assert np.isfinite(scaled(probabilities, temperature(probabilities, label))).all()


def test_overconfidence_interval_covers() -> None:
    """A perfectly calibrated run counts as overconfident in few samples."""
    claimed = 0
    for seed in range(200):
        logits, label = logits_and_labels(100 + seed)
        mean, low, high = overconfidence([softmax(logits, axis=1)], label)
        assert low < mean < high
        claimed += not low <= 0 <= high
    assert claimed <= 18


def built(module: Any, results: Any) -> Panel:
    panel = module.build(results)
    assert isinstance(panel, Panel)
    return panel


def test_runs_are_ranked_by_overconfidence(tmp_path: Path) -> None:
    logits, label = logits_and_labels(3)
    frame = texts(COUNT, np.random.default_rng(0)) | {"label": label}
    runs = {name: softmax(t * logits, axis=1) for name, t in (("shy", 0.5), ("bold", 2.0), ("bolder", 4.0))}
    store = write_runs(tmp_path, frame, LABELS, runs)
    panel = built(calibration, store.load())
    rows = panel.tables[0].rows
    assert [row["method"] for row in rows] == ["bolder", "bold", "shy"]
    assert [row["temperature"] for row in rows] == pytest.approx([4, 2, 0.5], rel=0.1)
    assert all(row["ece_after"] < row["ece"] for row in rows)
    assert panel.sentences[0].startswith("bolder is the most overconfident: ")
    assert "; then bold (" in panel.sentences[0]
    assert "Less sure than right: shy (−" in panel.sentences[0]
    assert "lowers that of all 3 methods" in panel.sentences[1]
    assert built(confidence, store.load()).sentences[1].startswith("Errors made with near certainty")


def test_without_validation_nothing_is_scaled(tmp_path: Path) -> None:
    logits, label = logits_and_labels(4)
    frame = texts(COUNT, np.random.default_rng(0)) | {"label": label}
    store = write_runs(tmp_path, frame, LABELS, {"one": softmax(logits, axis=1)})
    store.run("run-0").predictions_path("validation").unlink()
    panel = built(calibration, store.load())
    row = panel.tables[0].rows[0]
    assert row.get("ece_after") is None
    assert row["temperature_reason"] == calibration.NO_VALIDATION
    assert len(panel.charts) == 1
    assert "does not differ" in panel.sentences[0]
