"""Learned or not: exact tests against scipy and enumeration, and by simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from tests.analysis.figures import figure

from thriftune.analysis.statistics.dependence import Dependence, dependence


def test_two_classes_are_fishers_exact_test() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        label = (rng.random(80) < 0.2).astype(int)
        predicted = np.where(rng.random(80) < 0.3, label, rng.random(80) < 0.2).astype(int)
        table = np.bincount(label * 2 + predicted, minlength=4).reshape(2, 2)
        expected = stats.fisher_exact(table, alternative="greater").pvalue
        assert dependence(label, predicted, 5).p == pytest.approx(expected)


def test_large_counts_are_chi_square() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 3, 3000)
    predicted = np.where(rng.random(3000) < 0.04, label, rng.integers(0, 3, 3000))
    table = np.bincount(label * 3 + predicted, minlength=9).reshape(3, 3)
    found = dependence(label, predicted, 3)
    chi_square = stats.chi2_contingency(table, correction=False).pvalue
    assert found.p == pytest.approx(2 * min(chi_square, stats.norm.sf(found.agreement)))


def test_agreement_and_small_counts_are_enumerated() -> None:
    label, predicted = np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 1, 2, 2, 0])
    orders = np.array(list(permutations(range(7))))
    right = (label[orders] == predicted).sum(axis=1)
    found = dependence(label, predicted, 3)
    assert found.agreement == pytest.approx((4 - right.mean()) / right.std())
    tables = np.stack([np.bincount(row * 3 + predicted, minlength=9) for row in label[orders]]).reshape(-1, 3, 3)
    expected = np.outer(np.bincount(label), np.bincount(predicted)) / 7
    chi_square = ((tables - expected) ** 2 / expected).sum(axis=(1, 2)).round(9)
    upper = [stats.rankdata(-values, method="max") / len(values) for values in (right, chi_square)]
    smaller = np.minimum(*upper)
    own = int(np.flatnonzero((orders == np.arange(7)).all(axis=1))[0])
    assert found.p == pytest.approx((smaller <= smaller[own] + 1e-12).mean(), abs=0.04)


def test_one_label_predicted_or_given_is_no_dependence() -> None:
    label = np.arange(60) % 3
    assert dependence(label, np.zeros(60, dtype=int), 3) == Dependence(1.0, 0.0)
    assert dependence(np.zeros(60, dtype=int), label, 3) == Dependence(1.0, 0.0)
    assert not dependence(label, np.ones(60, dtype=int), 3).learned


def test_wrong_more_often_than_chance_is_not_learned() -> None:
    label = np.arange(200) % 2
    assert not dependence(label, 1 - label, 2).learned
    assert dependence(label, label, 2).learned


def test_a_perfect_run_of_many_classes_needs_no_permutations() -> None:
    label = np.arange(5000) % 77
    found = dependence(label, label, 77)
    assert found.learned
    assert found.agreement > 100


def rare(rng: np.random.Generator) -> bool:
    """A classifier with F1 0.67 on a class of 1% of 500 texts: did it learn?"""
    label = (rng.random(500) < 0.01).astype(int)
    predicted = np.where(label == 1, rng.random(500) < 2 / 3, rng.random(500) < 0.01 / 3 / 0.99).astype(int)
    return dependence(label, predicted, 2).learned


def guessed(rng: np.random.Generator, prior: list[float], guess: list[float], texts: int) -> bool:
    """Predictions that know nothing of the labels: did it learn?"""
    label = rng.choice(len(prior), texts, p=prior)
    return dependence(label, rng.choice(len(guess), texts, p=guess), len(prior)).learned


CHANCE = [
    ([0.99, 0.01], [0.99, 0.01], 500),
    ([0.5, 0.3, 0.2], [0.9, 0.05, 0.05], 1000),
    ([0.9, 0.08, 0.02], [0.9, 0.08, 0.02], 300),
    ([0.05] * 20, [0.05] * 20, 200),
]


def test_a_rare_class_that_is_found_is_learned() -> None:
    rng = np.random.default_rng(2)
    assert np.mean([not rare(rng) for _ in range(400)]) <= 0.05 + 0.03


@pytest.mark.parametrize(("prior", "guess", "texts"), CHANCE[:2])
def test_guesses_are_not_learned(prior: list[float], guess: list[float], texts: int) -> None:
    rng = np.random.default_rng(3)
    assert np.mean([guessed(rng, prior, guess, texts) for _ in range(100)]) <= 0.05 + 0.07


@pytest.mark.slow
def test_a_rare_class_that_is_found_is_learned_in_thousands_of_studies() -> None:
    rng = np.random.default_rng(4)
    assert figure(np.mean([not rare(rng) for _ in range(5000)]), "a rare class found, did not learn") <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize(("prior", "guess", "texts"), CHANCE)
def test_guesses_are_not_learned_in_a_thousand_studies(prior: list[float], guess: list[float], texts: int) -> None:
    rng = np.random.default_rng(5)
    share = figure(np.mean([guessed(rng, prior, guess, texts) for _ in range(1000)]), "guesses learned", prior, texts)
    assert share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.slow
def test_a_little_agreement_in_many_classes_and_one_class_among_guesses_are_seen() -> None:
    rng = np.random.default_rng(6)
    little, one = [], []
    for _ in range(200):
        label = rng.integers(0, 77, 500)
        little.append(dependence(label, np.where(rng.random(500) < 0.05, label, rng.integers(0, 77, 500)), 77).learned)
        label = rng.choice(3, 500, p=[0.5, 0.49, 0.01])
        found = np.where((label == 2) & (rng.random(500) < 2 / 3), 2, rng.integers(0, 2, 500))
        one.append(dependence(label, found, 3).learned)
    assert np.mean(little) >= 0.95
    assert np.mean(one) >= 0.9
