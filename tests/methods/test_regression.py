from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from thriftune.methods.linear import regression
from thriftune.methods.linear.regression import Score, Vectors, fit_regression, scored


def clusters(texts: int, classes: int = 3, seed: int = 0, shares: list[float] | None = None) -> Vectors:
    """Vectors of length 1 around one centre a class, near enough to be mistaken for each other."""
    centres = np.random.default_rng(99).normal(size=(classes, 8))
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, texts, p=shares)
    values = (centres[labels] + rng.normal(scale=1.5, size=(texts, 8))).astype(np.float32)
    return Vectors(values / np.linalg.norm(values, axis=1, keepdims=True), labels)


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("balanced", [False, True])
def test_it_is_scikit_learns(classes: int, balanced: bool) -> None:
    train, test = clusters(200, classes), clusters(50, classes, seed=1)
    found = fit_regression(train, None, classes, 3.0, balanced)
    weight = "balanced" if balanced else None
    exact = LogisticRegression(C=3.0, class_weight=weight, tol=1e-8, max_iter=10_000)
    exact.fit(train.values.astype(np.float64), train.labels)
    np.testing.assert_allclose(found.probabilities(test.values), exact.predict_proba(test.values), atol=1e-3)
    assert found.notes == ()
    assert (found.weight.shape, found.weight.dtype) == ((classes, 8), np.float32)


def test_the_strength_and_the_balance_are_the_best_on_validation() -> None:
    train, validation = clusters(150, shares=[0.8, 0.1, 0.1]), clusters(90, seed=1)
    found = fit_regression(train, validation, 3, None, None)
    note = found.notes[0]
    assert note.startswith(f"{found.setting} was chosen by validation accuracy (C ")
    assert found.setting.balanced  # validation has the classes alike
    assert "balanced" in note
    assert "C 10 " in note
    fixed = fit_regression(train, None, 3, found.setting.strength, found.setting.balanced)
    np.testing.assert_array_equal(fixed.weight, found.weight)
    of = scored(found.probabilities(validation.values), validation.labels)
    default = fit_regression(train, None, 3, 10.0, False)
    assert of.accuracy > scored(default.probabilities(validation.values), validation.labels).accuracy


@pytest.mark.parametrize("select", ["accuracy", "macro_f1", "loss"])
def test_every_score_can_select(select: str) -> None:
    found = fit_regression(clusters(150), clusters(90, seed=1), 3, None, False, select)  # type: ignore[arg-type]
    assert f"by validation {select.replace('_', ' ')} (" in found.notes[0]
    assert "balanced" not in found.notes[0]


def test_what_is_given_is_not_chosen() -> None:
    train, validation = clusters(150, shares=[0.6, 0.2, 0.2]), clusters(90, seed=1)
    assert fit_regression(train, validation, 3, 5.0, None).notes[0].count("C 5") == 3
    assert fit_regression(train, validation, 3, 5.0, True).notes == ()


def test_even_classes_need_no_balance() -> None:
    train = clusters(150)
    rows = np.concatenate([np.flatnonzero(train.labels == label)[:20] for label in range(3)])
    assert "balanced" not in fit_regression(train.rows(rows), clusters(60, seed=1), 3, None, None).notes[0]


def test_equals_go_to_the_lower_loss() -> None:
    """Every strength tells well-parted classes apart: the climb goes on through them."""
    labels = np.arange(60) % 3
    vectors = Vectors(np.eye(3, 8, dtype=np.float32)[labels], labels)
    assert fit_regression(vectors, vectors, 3, None, False).setting.strength == 1000
    assert Score(0.5, 0.5, 1.0).key("accuracy") > Score(0.5, 0.9, 1.1).key("accuracy")


def test_without_validation_it_says_so() -> None:
    found = fit_regression(clusters(150, shares=[0.6, 0.2, 0.2]), None, 3, None, None)
    assert (found.setting.strength, found.setting.balanced) == (10.0, False)
    assert found.notes == ("C 10 and the class weights were not chosen: there is no validation split.",)


def test_classes_that_training_never_saw_get_nothing() -> None:
    two = clusters(100, 2)
    found = fit_regression(Vectors(two.values, two.labels * 2), None, 4, None, None)
    probabilities = found.probabilities(two.values)
    assert (probabilities[:, [1, 3]] == 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    expected = LogisticRegression(C=10.0, tol=1e-8).fit(two.values, two.labels).predict_proba(two.values)
    np.testing.assert_allclose(probabilities[:, [0, 2]], expected, atol=1e-3)
    alone = fit_regression(Vectors(two.values, np.full(100, 1)), two, 2, None, None)
    np.testing.assert_array_equal(alone.probabilities(two.values)[:, 1], 1)


def test_many_texts_are_searched_in_part_and_fitted_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "FEWEST_SEARCHED", 50)
    monkeypatch.setattr(regression, "SEARCHED_NUMBERS", 1)
    found = fit_regression(clusters(150), clusters(90, seed=1), 3, None, False)
    assert "each trained on 50 texts" in found.notes[0]
    np.testing.assert_array_equal(
        found.weight, fit_regression(clusters(150), None, 3, found.setting.strength, False).weight
    )


def test_a_fit_that_stops_early_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regression, "STEPS", 2)
    assert "stopped after 2 steps" in fit_regression(clusters(150), None, 3, 100.0, False).notes[0]
