"""Errors with the label fixed: against statsmodels and enumeration, and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.sparse import csr_matrix
from statsmodels.stats.contingency_tables import StratifiedTable
from tests.analysis.figures import figure

from thriftune.analysis.statistics.stratified import _exact, by_label, design_effects, for_groups, stratified


def data(seed: int, texts: int = 2000, labels: int = 4, groups: int = 6) -> tuple[np.ndarray, ...]:
    """Groups and errors that have some labels more often than others, and a true effect in group 0."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, labels, texts)
    masks = rng.random((groups, texts)) < rng.uniform(0.05, 0.5, (groups, labels))[:, label]
    wrong = rng.random(texts) < rng.uniform(0.1, 0.4, labels)[label] + 0.2 * masks[0]
    return masks, wrong, label


def test_it_is_statsmodels() -> None:
    masks, wrong, label = data(0)
    found = stratified(*by_label(masks, wrong, label, 4))
    for i, inside in enumerate(masks):
        tables = [
            [
                [(inside & wrong & k).sum(), (inside & ~wrong & k).sum()],
                [(~inside & wrong & k).sum(), (~inside & ~wrong & k).sum()],
            ]
            for k in (label == each for each in range(4))
        ]
        reference = StratifiedTable([np.array(each, dtype=float) for each in tables])
        assert found.odds_ratio[i] == pytest.approx(reference.oddsratio_pooled)
        low, high = reference.oddsratio_pooled_confint()
        assert (found.odds_low[i], found.odds_high[i]) == pytest.approx((low, high))
        if found.odds_ratio[i] > 1.02:
            assert found.p[i] == pytest.approx(reference.test_null_odds(correction=True).pvalue / 2)
        assert found.texts[i] == inside.sum()
        assert found.errors[i] == (inside & wrong).sum()
    assert found.found[0]
    assert found.overall == pytest.approx(np.full(6, wrong.mean()))


def test_one_label_is_a_plain_difference() -> None:
    found = stratified([30], [100], [50], [300])
    assert found.difference == pytest.approx(0.3 - 20 / 200)
    half = 1.96 * np.sqrt(0.3 * 0.7 / 100 + 0.1 * 0.9 / 200)
    assert float(found.difference_high - found.difference) == pytest.approx(half, rel=0.03)
    assert found.odds_ratio == pytest.approx((30 * 180) / (70 * 20))
    assert found.expected == pytest.approx(50 / 300)
    assert found.rate == pytest.approx(0.3)


def test_small_counts_are_exact() -> None:
    found = stratified([3, 1], [4, 3], [4, 2], [20, 10])
    rng = np.random.default_rng(0)
    drawn = rng.hypergeometric(4, 16, 4, 400_000) + rng.hypergeometric(2, 8, 3, 400_000)
    assert found.p == pytest.approx((drawn >= 4).mean(), abs=0.001)
    assert _exact(3, np.array([4]), np.array([4]), np.array([20])) == pytest.approx(stats.hypergeom.sf(2, 20, 4, 4))


def test_a_group_that_is_a_label_says_nothing() -> None:
    """Whole labels have nothing to be compared with; without errors there is nothing to compare."""
    whole = stratified([[50, 0]], [[100, 0]], [50, 10], [100, 200])
    assert whole.p == 1
    assert np.isnan(whole.odds_ratio)
    assert np.isnan(whole.difference)
    assert not whole.found.any()
    nothing = stratified([[0, 0]], [[30, 30]], [0, 0], [100, 200])
    assert nothing.p == 1
    empty = stratified([[0, 0]], [[0, 0]], [10, 10], [100, 200])
    assert (float(empty.p[0]), float(empty.rate[0])) == (1, 0)


def test_a_low_rate_is_not_reported_even_where_its_label_is_lower() -> None:
    """More errors than the label explains, and fewer than all texts have: no place to look."""
    found = stratified([[30, 0]], [[300, 0]], [40, 600], [2000, 1000])
    assert found.adjusted_p[0] < 0.001
    assert found.rate[0] < found.overall[0]
    assert not found.found[0]


def falsely(studies: int, seed: int, groups: int = 150) -> tuple[float, float]:
    """The share of studies that report a group although labels explain all; and where labels are not looked at."""
    rng = np.random.default_rng(seed)
    with_labels, without = [], []
    for _ in range(studies):
        label = rng.choice(6, 4000, p=rng.dirichlet(np.full(6, 3.0)))
        wrong = rng.random(4000) < rng.uniform(0.02, 0.4, 6)[label]
        masks = rng.random((groups, 4000)) < rng.beta(0.5, 2, (groups, 6))[:, label]
        counted = by_label(masks, wrong, label, 6)
        with_labels.append(stratified(*counted).found.any())
        without.append(stratified(*(each.sum(axis=-1, keepdims=True) for each in counted)).found.any())
    return float(np.mean(with_labels)), float(np.mean(without))


def test_labels_alone_make_no_group_stand_out() -> None:
    found, without = falsely(15, 1)
    assert found <= 0.2
    assert without == 1


@pytest.mark.slow
def test_labels_alone_make_no_group_stand_out_in_many_studies() -> None:
    found, _ = falsely(60, 2)
    assert figure(found, "labels alone, 60 studies") <= 0.05
    found, _ = falsely(600, 3)
    assert figure(found, "labels alone, 600 studies") <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 600)


@pytest.mark.slow
def test_a_true_effect_is_found_beside_the_labels() -> None:
    hits = []
    for seed in range(100):
        found = stratified(*by_label(*data(seed, texts=4000), 4))
        hits.append(found.found[0])
        assert found.difference_low[0] < found.difference[0] < found.difference_high[0]
    assert np.mean(hits) >= 0.9


def grouped(seed: int, groups: int = 300, size: int = 6) -> tuple[np.ndarray, ...]:
    """Groups that share words and errors: masks (words, texts), wrong, label, group."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), size)
    label = rng.integers(0, 3, groups * size)
    masks = np.repeat(rng.random((30, groups)) < 0.1, size, axis=1)
    hard = np.repeat(rng.normal(0, 1.5, groups), size)
    wrong = rng.random(groups * size) < 1 / (1 + np.exp(1.5 - 0.5 * label - hard))
    return masks, wrong, label, group


def test_it_is_the_sum_over_groups() -> None:
    masks, wrong, label, group = grouped(0, groups=40)
    x = masks[0].astype(float)
    means, rates = (np.array([values[label == k].mean() for k in range(3)]) for values in (x, wrong))
    parts = (x - means[label]) * (wrong - rates[label])
    expected = sum(parts[group == g].sum() ** 2 for g in range(40)) / (parts**2).sum()
    for held in (masks.T, csr_matrix(masks.T.astype(np.float32))):
        assert design_effects(held, wrong, label, group)[0] == pytest.approx(max(1, expected))


def test_single_texts_change_nothing() -> None:
    masks, wrong, label, _ = grouped(1)
    assert design_effects(masks.T, wrong, label, np.arange(len(label))) == pytest.approx(1)
    numbers = stratified(*by_label(masks, wrong, label, 3))
    same = for_groups(numbers, np.ones(30), 10**9)
    assert same.p == pytest.approx(numbers.p, rel=1e-6)
    assert same.difference_low == pytest.approx(numbers.difference_low)


def test_words_of_a_group_are_no_finding() -> None:
    """Without regard to groups most studies report a word that has nothing to do with errors."""
    alone, together = [], []
    for seed in range(40):
        masks, wrong, label, group = grouped(10 + seed)
        numbers = stratified(*by_label(masks, wrong, label, 3))
        alone.append(numbers.found_at(0.05).any())
        effects = design_effects(masks.T, wrong, label, group)
        together.append(for_groups(numbers, effects, 300).found_at(0.05).any())
    assert np.mean(alone) > 0.5
    assert np.mean(together) <= 0.15
