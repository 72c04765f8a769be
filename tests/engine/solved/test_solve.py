"""A solved head is scikit-learn's logistic regression."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from thriftune.engine.solved import solve as solver
from thriftune.engine.solved.solve import GRID, Labelled, Problem, Solution, Tried, solve


def texts(count: int, width: int, classes: int, seed: int = 0) -> Labelled:
    """Features of unequal spread, far from zero, with something of the class in them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(classes, width))
    labels = rng.integers(classes, size=count)
    noise = rng.normal(size=(count, width)) * np.linspace(3.0, 0.05, width)
    features = centres[labels] * 0.5 + noise + np.linspace(-4.0, 4.0, width)
    return Labelled(torch.from_numpy(features.astype(np.float32)), torch.from_numpy(labels))


def logits_of(solution: Solution, features: torch.Tensor) -> np.ndarray:
    out = features.double() @ solution.weight.T
    return (out if solution.bias is None else out + solution.bias).numpy()


def peer(train: Labelled, c: float, intercept: bool = True) -> LogisticRegression:
    """scikit-learn's; its L-BFGS may stop short of the minimum, its Newton method hardly does."""
    model = LogisticRegression(C=c, tol=1e-12, max_iter=100_000, fit_intercept=intercept, solver="newton-cg")
    return model.fit(train.features.double().numpy(), train.labels.numpy())


@pytest.mark.parametrize("c", [0.01, 1.0, 100.0])
@pytest.mark.parametrize(("count", "width", "classes"), [(300, 24, 7), (40, 64, 5)])
def test_logits_are_scikit_learns(c: float, count: int, width: int, classes: int) -> None:
    train, others = texts(count, width, classes), texts(100, width, classes, seed=1)
    found = solve(train, None, classes, c=c)
    assert found.converged
    assert found.c == c
    expected = peer(train, c).decision_function(others.features.double().numpy())
    assert np.abs(logits_of(found, others.features) - expected).max() < 1e-4


def test_two_classes_are_scikit_learns_binary_regression() -> None:
    train, others = texts(200, 12, 2), texts(50, 12, 2, seed=1)
    logits = logits_of(solve(train, None, 2, c=0.5), others.features)
    expected = peer(train, 0.5).decision_function(others.features.double().numpy())
    assert np.abs(logits[:, 1] - logits[:, 0] - expected).max() < 1e-4
    assert np.allclose(logits.mean(axis=1), 0.0, atol=1e-6)


def test_without_an_intercept() -> None:
    train, others = texts(200, 12, 4), texts(50, 12, 4, seed=1)
    found = solve(train, None, 4, intercept=False, c=1.0)
    expected = peer(train, 1.0, intercept=False).decision_function(others.features.double().numpy())
    assert found.bias is None
    assert np.abs(logits_of(found, others.features) - expected).max() < 1e-4


@pytest.mark.parametrize("intercept", [True, False])
def test_a_class_that_training_lacks_is_finite_and_low(intercept: bool) -> None:
    classes = 6
    train = texts(200, 12, classes)
    kept = train.labels != 2
    train = Labelled(train.features[kept], train.labels[kept])
    others = texts(100, 12, classes, seed=1)
    found = solve(train, None, classes, intercept, c=1.0)
    logits = logits_of(found, others.features)
    expected = peer(train, 1.0, intercept).decision_function(others.features.double().numpy())
    assert np.abs(logits[:, [0, 1, 3, 4, 5]] - expected).max() < 1e-4
    assert np.isfinite(logits).all()
    assert (logits.argmax(axis=1) != 2).all()
    if intercept:
        assert np.allclose(logits[:, 2], -math.log(2 * len(train.labels)))


def test_c_is_the_best_on_validation_and_ties_go_to_the_lower_loss() -> None:
    train, validation = texts(150, 20, 5), texts(200, 20, 5, seed=1)
    found = solve(train, validation, 5)
    best = max(found.tried, key=lambda each: (each.accuracy, -each.loss))
    assert found.c == best.c
    scale = Problem(train, 5, True).scale
    assert [each.c for each in found.tried] == [value / scale for value in GRID[: len(found.tried)]]
    exact = peer(train, best.c)
    x, y = validation.features.double().numpy(), validation.labels.numpy()
    assert abs(exact.score(x, y) - best.accuracy) <= 0.02
    loss = -exact.predict_log_proba(x)[np.arange(len(y)), y].mean()
    assert best.loss == pytest.approx(loss, rel=0.05)
    assert np.abs(logits_of(found, validation.features) - exact.decision_function(x)).max() < 1e-4


def test_the_scale_of_the_features_changes_nothing() -> None:
    train, validation = texts(150, 20, 5), texts(100, 20, 5, seed=1)
    found = solve(train, validation, 5)
    larger = solve(
        Labelled(train.features * 64, train.labels), Labelled(validation.features * 64, validation.labels), 5
    )
    assert larger.c == pytest.approx(found.c / 64**2)
    assert np.abs(logits_of(larger, validation.features * 64) - logits_of(found, validation.features)).max() < 1e-4


def test_the_search_ends_when_more_freedom_no_longer_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.5, 0.7, 0.6, 0.7])
    monkeypatch.setattr(Problem, "scored", lambda self, state, texts, c: Tried(c, next(scores), 1.0))
    train = texts(60, 20, 4)
    found = solve(train, train, 4)
    assert [each.accuracy for each in found.tried] == [0.5, 0.7, 0.6, 0.7]
    assert found.c == found.tried[1].c


def test_without_validation_c_is_fixed() -> None:
    train = texts(100, 20, 4)
    found = solve(train, None, 4)
    assert found.tried == ()
    assert found.c == pytest.approx(solver.WITHOUT_VALIDATION / Problem(train, 4, True).scale)


def test_it_is_the_same_bit_by_bit_and_in_blocks_the_same_solution(monkeypatch: pytest.MonkeyPatch) -> None:
    train, validation = texts(150, 20, 5), texts(100, 20, 5, seed=1)
    first, second = solve(train, validation, 5), solve(train, validation, 5)
    assert torch.equal(first.weight, second.weight)
    monkeypatch.setattr(solver, "BLOCK", 32)
    blocks = solve(train, validation, 5)
    assert blocks.c == first.c
    assert np.abs(logits_of(blocks, train.features) - logits_of(first, train.features)).max() < 1e-5


def test_degenerate_features() -> None:
    one = solve(Labelled(torch.ones(5, 3), torch.full((5,), 1)), None, 3)
    assert one.weight.isfinite().all()
    assert logits_of(one, torch.ones(1, 3)).argmax() == 1
    same = solve(Labelled(torch.ones(6, 3), torch.tensor([0, 0, 0, 1, 1, 2])), None, 3)
    shares = np.exp(logits_of(same, torch.ones(1, 3))[0])
    assert np.allclose(shares / shares.sum(), [1 / 2, 1 / 3, 1 / 6])
    with pytest.raises(ValueError, match="not finite"):
        solve(Labelled(torch.tensor([[1.0], [math.nan]]), torch.tensor([0, 1])), None, 2)


@pytest.mark.filterwarnings("ignore:Line Search failed")
def test_separable_classes_at_a_large_c() -> None:
    train = texts(120, 16, 5)
    found = solve(train, None, 5, c=1000.0)
    assert found.converged
    assert np.abs(logits_of(found, train.features) - peer(train, 1000.0).decision_function(train.features)).max() < 1e-3
