"""Intervals and tests against scipy, statsmodels and scikit-learn, and by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired
from tests.analysis.figures import figure
from tests.analysis.statistics.simulated import answers, claims, outcomes
from tests.analysis.statistics.studies import right_answers

from thriftune.analysis.findings.judgement import decide
from thriftune.analysis.statistics import inference
from thriftune.analysis.statistics.inference import Difference, difference, measured
from thriftune.analysis.statistics.metric_intervals import contributions


def predictions(seed: int, texts: int, classes: int, accuracy: float = 0.8) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    label = rng.choice(classes, texts, p=rng.dirichlet(np.full(classes, 5.0)))
    runs = [np.where(rng.random(texts) < accuracy, label, rng.integers(0, classes, texts)) for _ in range(2)]
    return label, *runs


@pytest.mark.parametrize(("b", "c"), [(0, 0), (5, 0), (3, 9), (120, 160), (608, 667), (1, 1)])
def test_mcnemar_is_statsmodels(b: int, c: int) -> None:
    expected = reference_mcnemar([[50, b], [c, 10]], exact=True).pvalue if b + c else 1.0
    assert inference.mcnemar(b, c) == pytest.approx(expected)


def test_holm_is_statsmodels() -> None:
    rng = np.random.default_rng(0)
    for number in (1, 2, 7, 20):
        for _ in range(4):
            p = rng.beta(0.4, 3, number)
            adjusted, levels = inference.holm(list(p))
            rejected, expected, _, _ = multipletests(p, method="holm")
            assert adjusted == pytest.approx(expected)
            assert [a < 1 - level for a, level in zip(p, levels, strict=True)] == list(rejected)
    assert inference.holm([]) == ([], [])


def macro_f1(label: np.ndarray, predicted: np.ndarray, classes: int) -> float:
    """As scikit-learn's, which takes milliseconds; all classes occur."""
    both = np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)
    return float(np.mean(2 * both.diagonal() / (both.sum(axis=0) + both.sum(axis=1))))


@pytest.mark.parametrize("classes", [2, 3, 9])
def test_contributions_average_to_macro_f1(classes: int) -> None:
    label, run, _ = predictions(1, 400, classes)
    label[label == classes - 1] = 0
    run[run == classes - 1] = 0
    found = contributions("macro_f1", label, run[None], classes)
    expected = f1_score(label, run, average="macro")
    assert found.mean() == pytest.approx(expected)


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_intervals_are_the_paired_bootstraps(classes: int) -> None:
    """Drawn counts, texts drawn one by one, and the analytical error give the same spread."""
    label, first, second = predictions(2, 1500, classes)
    accuracy, f1 = inference.bootstrap(label, first, second, classes, replicates=4000)
    rng = np.random.default_rng(3)
    by_hand = []
    for _ in range(400):
        rows = rng.integers(0, len(label), len(label))
        by_hand.append(
            [
                np.mean(first[rows] == label[rows]) - np.mean(second[rows] == label[rows]),
                macro_f1(label[rows], first[rows], classes) - macro_f1(label[rows], second[rows], classes),
            ]
        )
    given = [[run == label for run in (first, second)]]
    given.append([contributions("macro_f1", label, run[None], classes)[0] for run in (first, second)])
    for drawn, slow, (a, b) in zip((accuracy, f1), np.transpose(by_hand), given, strict=True):
        analytical = difference(*(measured(np.asarray(each, dtype=np.float64)[None]) for each in (a, b)))
        assert drawn.mean() == pytest.approx(analytical.estimate, abs=0.001)
        assert drawn.std() == pytest.approx(slow.std(), rel=0.12)
        assert drawn.std() == pytest.approx(analytical.error, rel=0.05)
        assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(analytical.interval(0.95), abs=0.003)


def test_bootstrap_is_scipys() -> None:
    label, first, second = predictions(4, 800, 3)
    right = [(run == label).astype(float) for run in (first, second)]
    expected = stats.bootstrap(
        right,
        lambda a, b, axis=-1: a.mean(axis=axis) - b.mean(axis=axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=4000,
        random_state=0,
    ).confidence_interval
    found = np.quantile(inference.bootstrap(label, first, second, 3, replicates=4000)[0], [0.025, 0.975])
    assert found == pytest.approx((expected.low, expected.high), abs=0.003)


def single(only_first: int, only_second: int, both: int) -> Difference:
    first = np.r_[np.ones(only_first), np.zeros(only_second), np.ones(both)]
    second = np.r_[np.zeros(only_first), np.ones(only_second), np.ones(both)]
    return difference(measured(first[None]), measured(second[None]))


@pytest.mark.parametrize(("b", "c", "texts"), [(30, 20, 400), (5, 0, 100), (0, 0, 50), (300, 200, 10_000)])
def test_one_seed_is_bonett_and_price(b: int, c: int, texts: int) -> None:
    found = single(b, c, texts - b - c)
    p, q, n = (b + 1) / (texts + 2), (c + 1) / (texts + 2), texts + 2
    half = stats.norm.ppf(0.975) * math.sqrt((p + q - (p - q) ** 2) / n)
    assert found.interval(0.95) == pytest.approx((p - q - half, p - q + half))
    assert not found.repeated


def test_few_texts_prove_nothing() -> None:
    assert decide(single(0, 0, 20), 0.95, 0.005) == "undecided"
    assert decide(single(0, 0, 2000), 0.95, 0.005) == "equivalent"
    assert decide(single(5, 0, 95), 0.95, 0.005) == "undecided"
    assert inference.mcnemar(5, 0) > 0.05


def test_equivalence_is_statsmodels_tost() -> None:
    label, first, second = predictions(5, 20_000, 3, accuracy=0.95)
    a, b = ((run == label).astype(float) for run in (first, second))
    found = difference(measured(a[None]), measured(b[None]))
    expected, _, _ = ttost_paired(a, b, -0.008, 0.008)
    assert found.equivalence_p(0.008) == pytest.approx(expected, rel=0.05)
    low, high = found.interval(0.9)
    assert (found.equivalence_p(0.008) < 0.05) == (low > -0.008 and high < 0.008)


def constant(scores: list[float], texts: int = 1_000_000) -> inference.Measured:
    """Seeds that score the same on every text: all their variance is the seeds'."""
    return inference.Measured(np.array(scores), np.full(texts, np.mean(scores)), 0.0)


def test_seeds_alone_are_students_test() -> None:
    first, second = [0.80, 0.81, 0.79], [0.77, 0.78, 0.785]
    found = difference(constant(first), constant(second))
    expected = stats.ttest_ind(first, second)
    assert found.p == pytest.approx(expected.pvalue, rel=0.01)
    assert found.interval(0.9) == pytest.approx(tuple(expected.confidence_interval(0.9)), abs=1e-5)


def test_seeds_that_spread_unlike_are_welchs_test() -> None:
    first, second = [0.80, 0.86, 0.74], [0.77, 0.771, 0.7705]
    found = difference(constant(first), constant(second))
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert not found.pooled
    assert found.p == pytest.approx(expected.pvalue, rel=0.01)


def test_seeds_of_further_methods_are_pooled() -> None:
    groups = [[0.80, 0.81, 0.79], [0.77, 0.78, 0.785], [0.70, 0.712, 0.72]]
    found = difference(*(constant(each) for each in groups[:2]), [constant(groups[2])])
    within = sum(((np.array(each) - np.mean(each)) ** 2).sum() for each in groups) / 6
    assert found.pooled
    assert found.seed_freedom == 6
    assert found.seed_part == pytest.approx(within * 2 / 3)


def test_a_baseline_adds_no_seeds() -> None:
    baseline = inference.Measured(np.array([0.7]), np.full(1_000_000, 0.7), 0.0, deterministic=True)
    scores = [0.71, 0.72, 0.70, 0.715]
    found = difference(constant(scores), baseline)
    assert found.repeated
    assert found.p == pytest.approx(stats.ttest_1samp(scores, 0.7).pvalue, rel=0.01)


def test_text_and_seed_parts_add_up() -> None:
    """Over many studies the error is the deviation of the estimates, or a little more: no part counts twice."""
    rng = np.random.default_rng(6)
    found = []
    for _ in range(300):
        right, _ = answers(rng, [0.85, 0.85], 3, 2000)
        found.append(difference(*(measured(each.astype(float)) for each in right)))
    true = np.std([each.estimate for each in found])
    assert 0.9 < math.sqrt(np.mean([each.error**2 for each in found])) / true < 1.25


@pytest.mark.parametrize("seeds", [1, 3, 5])
def test_luck_is_seldom_called_a_difference(seeds: int) -> None:
    """No mean difference; one seed's claim is about its models, which here are equally good."""
    assert claims(200, [0.85, 0.85], seeds, 2000, 0.005 if seeds > 1 else 0.0) <= 0.05 + 3 * math.sqrt(
        0.05 * 0.95 / 200
    )


@pytest.mark.slow
@pytest.mark.parametrize("texts", [1000, 10_000])
@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("methods", [2, 4])
def test_luck_is_seldom_called_a_difference_in_a_thousand_studies(seeds: int, methods: int, texts: int) -> None:
    share = claims(1000, [0.85] * methods, seeds, texts, 0.005 if seeds > 1 else 0.0)
    assert figure(share, "better without a difference", methods, "methods", seeds, "seeds", texts) <= 0.057


UNLIKE = [[0.01, 0.001, 0.001, 0.001, 0.001], [0.001, 0.005, 0.005, 0.005, 0.005], [0.01, 0.005, 0.0025, 0.001, 0.0005]]


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spreads", UNLIKE)
def test_unlike_spreads_cost_some_claims(spreads: list[float], seeds: int) -> None:
    """Five equal methods on 10,000 texts; a study claims more than 5% where few seeds hide that one spreads widely."""
    rng = np.random.default_rng(9)
    found = [
        outcomes(right_answers(rng, [0.85] * 5, seeds, 10_000, np.array(spreads)[:, None])[0])[0] for _ in range(600)
    ]
    share = np.mean([bool({"better", "worse"} & set(each)) for each in found])
    assert (
        figure(share, "better without a difference, unlike spreads", spreads, seeds)
        <= {2: 0.12, 3: 0.1, 5: 0.06}[seeds]
    )


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_two_points_are_found_among_five_methods(seeds: int) -> None:
    """Of the four pairs with the one that is 2 points better, those called so after Holm's adjustment of ten."""
    rng = np.random.default_rng(10)
    studies = [outcomes(answers(rng, [0.86, 0.84, 0.84, 0.84, 0.84], seeds, 10_000)[0])[0] for _ in range(400)]
    found = figure(np.mean([[each == "better" for each in study[:4]] for study in studies]), "pairs found", seeds)
    every = figure(np.mean([study[:4] == ["better"] * 4 for study in studies]), "all four pairs found", seeds)
    assert found >= {2: 0.22, 3: 0.58, 5: 0.92}[seeds]
    assert every <= found


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_two_points_between_two_methods(seeds: int) -> None:
    share = claims(500, [0.86, 0.84], seeds, 10_000, 0.005 if seeds > 1 else 0.0)
    assert figure(share, "two points, two methods", seeds) >= {1: 0.95, 2: 0.3, 3: 0.75, 5: 0.95}[seeds]


def test_one_seed_speaks_of_its_models_and_is_right_about_them() -> None:
    """With a seed spread the two models do differ: a claim is wrong where it names the worse one."""
    rng = np.random.default_rng(7)
    wrong = 0
    for _ in range(300):
        right, true = answers(rng, [0.85, 0.85], 1, 5000)
        (outcome,), repeated = outcomes(right)
        assert not repeated
        wrong += outcome == ("better" if true[0, 0] < true[1, 0] else "worse")
    assert wrong / 300 <= 0.025 + 0.02


@pytest.mark.parametrize("seeds", [1, 5])
def test_two_points_are_found(seeds: int) -> None:
    """One seed: the two models truly differ by two points. Five: the methods do, whatever their seeds add."""
    assert claims(150, [0.86, 0.84], seeds, 10_000, 0.005 if seeds > 1 else 0.0) >= 0.9


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_of_the_margin_is_seldom_called_equivalent(seeds: int) -> None:
    rng = np.random.default_rng(8)
    spread = 0.002 if seeds > 1 else 0.0
    found = [outcomes(answers(rng, [0.85, 0.83], seeds, 4000, spread)[0], margin=0.02)[0] for _ in range(200)]
    assert sum(each == ["equivalent"] for each in found) / 200 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 200)
