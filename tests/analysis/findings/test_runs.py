"""Which runs learned: those whose predictions depend on the labels."""

from __future__ import annotations

import numpy as np
import pytest
from tests.analysis.figures import figure
from tests.analysis.findings.planted import Planted, study_of

from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.runs import dependence_of, learned
from thriftune.analysis.statistics.dependence import dependence


def rare(rng: np.random.Generator, texts: int = 500) -> bool:
    """Whether a classifier with an F1 near 0.67 on a class of 1% counts as having learned."""
    label = (np.arange(texts) < texts // 100).astype(np.int64)
    predicted = np.where(label == 1, rng.random(texts) < 0.7, rng.random(texts) < 0.004).astype(np.int64)
    return learned(study_of(label, {"full": Planted(predicted[None])}).done[0])


def by_chance(rng: np.random.Generator, texts: int = 500, classes: int = 3) -> bool:
    """Whether predictions that know nothing of the labels, but their shares, count as having learned."""
    shares = np.array([0.7, 0.2, 0.1])
    label, predicted = (rng.choice(classes, texts, p=shares) for _ in range(2))
    return learned(study_of(label, {"full": Planted(predicted[None])}, classes).done[0])


def test_a_rare_class_that_is_found_is_learned_and_chance_is_not() -> None:
    rng = np.random.default_rng(0)
    assert np.mean([not rare(rng) for _ in range(100)]) <= 0.05 + 0.03
    assert np.mean([by_chance(rng) for _ in range(100)]) <= 0.05 + 0.05


@pytest.mark.slow
def test_learned_in_thousands_of_studies() -> None:
    rng = np.random.default_rng(1)
    assert figure(np.mean([not rare(rng) for _ in range(4000)]), "a rare class found, did not learn") <= 0.05
    assert figure(np.mean([by_chance(rng) for _ in range(4000)]), "guesses learned") <= 0.05 + 2 * np.sqrt(
        0.05 * 0.95 / 4000
    )


def test_the_confusion_matrix_is_all_that_is_needed() -> None:
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 3, 300), rng.integers(0, 3, 300)
    run = study_of(label, {"full": Planted(predicted[None])}, 3).done[0]
    assert run.test is not None
    assert dependence_of(run.test) == dependence(label, predicted, 3)
    assert dependence_of(run.test) is dependence_of(run.test)


def test_a_baseline_at_chance_is_not_taken() -> None:
    label = np.arange(400) % 2
    constant = Planted(np.zeros((1, 400), dtype=np.int64), 1.0, baseline=True)
    decision = decide(study_of(label, {"tfidf": constant, "full": Planted(label[None].copy())}))
    assert {each.name: each.place for each in decision.standings} == {"full": "highest", "tfidf": "not learned"}
