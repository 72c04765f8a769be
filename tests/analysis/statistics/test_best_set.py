"""Multiple comparisons with the best against scipy's, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize, stats
from tests.analysis.figures import figure
from tests.analysis.statistics.simulated import answers
from tests.analysis.statistics.studies import methods_of, right_answers

from thriftune.analysis.statistics import best_set
from thriftune.analysis.statistics.best_set import compare
from thriftune.analysis.statistics.inference import Measured


def constant(score: float, spread: float = 0.002, seeds: int = 4, texts: int = 1_000_000) -> Measured:
    """Seeds that score the same on every text, with exactly that spread: all their variance is the seeds'."""
    scores = score + spread * stats.zscore(np.arange(seeds), ddof=1)
    return Measured(scores, np.full(texts, score), 0.0)


def test_levels_are_those_of_the_multivariate_normal() -> None:
    independent = best_set._one_sided_levels(np.eye(5), 0.05)
    joint = stats.multivariate_normal(np.zeros(4), 0.5 + 0.5 * np.eye(4), seed=0)
    critical = optimize.brentq(lambda d: joint.cdf(np.full(4, d)) - 0.95, 1, 4, xtol=1e-3)
    assert stats.norm.isf(independent) == pytest.approx([critical] * 5, abs=0.05)


def test_two_methods_are_students_one_sided_test() -> None:
    first, second = constant(0.80), constant(0.803)
    found = compare([first, second])
    p = stats.ttest_ind(second.scores, first.scores, alternative="greater").pvalue
    low = stats.ttest_ind(first.scores, second.scores).confidence_interval(0.9).low
    assert found.methods[0].low == pytest.approx(low, abs=1e-4)
    assert found.best_set == ([1] if p < 0.05 else [0, 1])
    assert found.repeated


def test_five_methods_are_nearly_dunnetts() -> None:
    """Each in turn is the control; the others lead it by as much as scipy's one-sided bound, or a little less."""
    rng = np.random.default_rng(0)
    samples = rng.normal(0.8, 0.005, (5, 4)) + np.array([0, 0, 0, 0.005, 0.015])[:, None]
    methods = [Measured(each, np.full(1_000_000, each.mean()), 0.0) for each in samples]
    found = compare(methods)
    for i, control in enumerate(samples):
        rest = [each for j, each in enumerate(samples) if j != i]
        reference = stats.dunnett(*rest, control=control, alternative="greater", rng=0)
        assert found.methods[i].could_be_best == (reference.pvalue.min() > 0.05)


def test_a_clear_winner_and_a_tie() -> None:
    found = compare([constant(0.8), constant(0.9), constant(0.7)])
    assert found.best_set == [1]
    assert found.methods[1].low == 0
    assert found.methods[1].below_at_most == 0
    assert found.methods[1].high == pytest.approx(0.1, abs=0.01)
    assert found.methods[0].high == 0
    assert found.methods[0].below_at_most == pytest.approx(0.1, abs=0.01)
    tie = compare([constant(0.8), constant(0.8), constant(0.8)])
    assert tie.best_set == [0, 1, 2]
    assert all(each.low < 0 < each.high for each in tie.methods)


def test_one_method_none_and_one_seed() -> None:
    assert compare([constant(0.8)]).best_set == [0]
    with pytest.raises(ValueError, match="no methods"):
        compare([])
    right, _ = right_answers(np.random.default_rng(1), [0.9, 0.7], 1, 500)
    found = compare(methods_of(right))
    assert found.best_set == [0]
    assert not found.repeated


def test_texts_in_groups_say_less() -> None:
    right, _ = right_answers(np.random.default_rng(2), [0.86, 0.84, 0.83], 1, 400)
    whole = np.repeat(right, 10, axis=2)
    groups = np.repeat(np.arange(400), 10)
    naive, found = compare(methods_of(whole)), compare(methods_of(whole), groups=groups)
    plain = compare(methods_of(right))
    for each, wide, reference in zip(naive.methods, found.methods, plain.methods, strict=True):
        assert wide.high - wide.low >= each.high - each.low
        assert wide.low == pytest.approx(reference.low, abs=0.004)


def test_many_cells_across_models_stay_quick_and_ordered() -> None:
    rng = np.random.default_rng(3)
    right, _ = right_answers(rng, list(np.linspace(0.7, 0.9, 12)), 2, 2000)
    found = compare(methods_of(right))
    assert 11 in found.best_set
    assert 0 not in found.best_set
    assert found.methods == compare(methods_of(right)).methods


def shares(studies: int, accuracies: list[float], seeds: int, texts: int, seed: int) -> tuple[float, float]:
    """How often the best is in the set, and how often alone there: the first method, or of one seed the best model."""
    rng = np.random.default_rng(seed)
    inside, alone = [], []
    for _ in range(studies):
        right, true = answers(rng, accuracies, seeds, texts)
        best = int(true[:, 0].argmax()) if seeds == 1 else 0
        found = compare(methods_of(right)).best_set
        inside.append(best in found)
        alone.append(found == [best])
    return float(np.mean(inside)), float(np.mean(alone))


def test_the_best_is_in_the_set() -> None:
    """Equal methods are the hardest case: nothing but chance leads."""
    inside, _ = shares(100, [0.85] * 4, 3, 2000, 4)
    assert inside >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 100)


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "texts"), [(1, 1000), (3, 1000), (3, 10_000), (5, 3000)])
def test_the_best_is_in_the_set_in_a_thousand_studies(seeds: int, texts: int) -> None:
    inside, _ = shares(1000, [0.85] * 5, seeds, texts, 5)
    assert figure(inside, "best in the set", seeds, texts) >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 1000)


@pytest.mark.slow
def test_two_points_are_found_among_five_methods() -> None:
    """Three seeds with a spread of half a point, 10,000 texts: with the true spread known it would be 89%."""
    inside, alone = shares(600, [0.86, 0.84, 0.84, 0.84, 0.84], 3, 10_000, 6)
    assert figure(inside, "best in the set, 2 points") >= 0.99
    assert figure(alone, "best alone in the set, 2 points") >= 0.74


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [[0.01, 0.001, 0.001, 0.001, 0.001], [0.001, 0.005, 0.005, 0.005, 0.005]])
def test_unlike_spreads_cost_little(spreads: list[float]) -> None:
    rng = np.random.default_rng(7)
    inside = []
    for _ in range(600):
        right, _ = right_answers(rng, [0.85] * 5, 3, 3000, np.array(spreads)[:, None])
        inside.append(0 in compare(methods_of(right)).best_set)
    assert figure(np.mean(inside), "best in the set, unlike spreads", spreads) >= 0.9
