"""Verdicts, seeds, overlap and hypotheses of whole studies, in words and in results.json."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from tests.analysis.summarised import asking
from tests.report.synthetic import VARIANTS, Variant, write, write_runs

from thriftune import wording as f
from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.answers import verdicts as said
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.errors import overlap as overlaps
from thriftune.analysis.findings.judgement import judge, told_apart
from thriftune.analysis.findings.runs import cells
from thriftune.analysis.panels.answers import hypotheses, verdicts
from thriftune.analysis.panels.answers.hypotheses import Pair, less_computation, median_interval
from thriftune.analysis.panels.errors import overlap
from thriftune.analysis.panels.performance import seeds
from thriftune.results.record import StudyResults
from thriftune.results.store import Results

REPEATED = Variant(seeds=3, texts=800, troubled=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("plain"), VARIANTS["plain"]).load()


@pytest.fixture(scope="module")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return write(tmp_path_factory.mktemp("repeated"), REPEATED).load()


def _panel(panel: Panel | NotApplicable) -> Panel:
    assert isinstance(panel, Panel)
    return panel


def test_one_seed_speaks_of_its_models(plain: Results) -> None:
    found = judge(plain).verdicts
    assert {verdict.claim for verdict in found} == {"trained models"}
    assert all(verdict.discordant and verdict.bootstrap for verdict in found)
    assert "not about the methods" in said.sentences(plain)[0]


def test_repeats_speak_of_methods(repeated: Results) -> None:
    found = judge(repeated).verdicts
    assert {verdict.claim for verdict in found} == {"methods"}
    assert "about the methods" in said.sentences(repeated)[0]
    statistics = _panel(verdicts.build(repeated)).statistics["pairs"][0]
    assert statistics["mcnemar"] is None
    assert statistics["mcnemar_reason"]


def test_differences_are_those_of_the_runs_scores(repeated: Results) -> None:
    for verdict in judge(repeated).verdicts:
        for measure in ("accuracy", "macro_f1"):
            means = [
                np.mean([getattr(run.test, measure) for run in cell.runs]) for cell in (verdict.first, verdict.second)
            ]
            assert getattr(verdict, measure).estimate == pytest.approx(means[0] - means[1])


def test_a_tie_is_called_one(plain: Results) -> None:
    verdict = next(verdict for verdict in judge(plain).verdicts if not verdict.baseline)
    level = dataclasses.replace(verdict, outcome="undecided", score=dataclasses.replace(verdict.score, estimate=0.0))
    (undecided,) = said._undecided([level])
    assert "(no difference, interval" in undecided
    assert "0.0 points" not in undecided


def test_runs_that_support_no_verdict_are_named(plain: Results) -> None:
    (text,) = [text for text in said.sentences(plain) if text.startswith("No verdict rests on")]
    assert "lora r64 (did not learn" in text
    assert "full on xxl (out of memory)" in text
    assert re.search(r"lora r8 against full .*\(under different protocols: batch size 8 and 32\)", text)
    named = {name for verdict in judge(plain).verdicts for name in (verdict.first.name, verdict.second.name)}
    assert not named & {"lora r64", "full on xxl", "majority"}
    assert ("lora r8", "full") not in {(v.first.name, v.second.name) for v in judge(plain).verdicts}


def _with(results: Results, runs: list) -> Results:
    return Results(results.store, dataclasses.replace(results.study, runs=runs))


def test_a_lost_seed_is_mentioned(repeated: Results) -> None:
    runs = [
        dataclasses.replace(run, status="diverged", test=None, message="loss is nan") if i == 0 else run
        for i, run in enumerate(repeated.runs)
    ]
    results = _with(repeated, runs)
    text = " ".join(said.sentences(results))
    assert "full seed 0 (diverged)" in text
    assert "flatters their method: full (1 of 3)" in text
    assert _panel(seeds.build(results)).tables[0].rows[0]["lost"] == 1


def test_a_method_with_one_seed_among_repeated_ones(repeated: Results) -> None:
    runs = [run for run in repeated.runs if run.cell != "full" or run.seed == 0]
    results = _with(repeated, runs)
    pairs = [verdict for verdict in judge(results).verdicts if not verdict.baseline]
    assert all(verdict.first.accuracy >= verdict.second.accuracy for verdict in pairs)
    assert {tuple(sorted((v.first.name, v.second.name))): v.claim for v in pairs} == {
        ("full seed 0", "top_layers 2"): "trained models",
        ("full seed 0", "lora r8"): "trained models",
        ("lora r8", "top_layers 2"): "methods",
    }
    assert "pairs with full seed 0: one seed" in said.sentences(results)[0]
    assert "One seed: full seed 0" in _panel(seeds.build(results)).sentences[1]


def test_pooled_spread_is_the_residual_deviation(repeated: Results) -> None:
    statistics = _panel(seeds.build(repeated)).statistics
    groups = [each["accuracy"]["scores"] for each in statistics["methods"]]
    (pooled,) = statistics["pooled"]
    variance = np.mean([np.var(each, ddof=1) for each in groups])
    assert pooled["deviation"] == pytest.approx(np.sqrt(variance))
    assert pooled["interval_95"] == pytest.approx(np.sqrt(6 * variance / stats.chi2.ppf([0.975, 0.025], 6)))
    assert "standard deviation" in _panel(seeds.build(repeated)).sentences[0]


def test_overlap_stands_beside_that_of_seeds(plain: Results, repeated: Results) -> None:
    assert "how much two seeds of one method would is not known" in overlaps.sentences(plain)[0]
    found = overlaps.overlap(repeated)
    assert found is not None
    assert len(found.pairs("seeds")) == 9
    assert len(found.pairs("methods")) == 27
    assert found.methods is not None
    assert any(
        word in overlaps.sentences(repeated)[0] for word in ("undecided", "as seeds do", "So methods err differently")
    )
    rows = _panel(overlap.build(repeated)).tables[1].rows
    assert all(sum(row[name] for name in overlap.SHARES) == pytest.approx(1) for row in rows)


def test_models_are_compared_with_methods(tmp_path: Path) -> None:
    variant = Variant(seeds=2, models=("demo:minilm", "bert"), texts=400, troubled=False, baselines=False)
    results = write(tmp_path, variant).load()
    found = overlaps.overlap(results)
    assert found is not None
    assert {kind: len(found.pairs(kind)) for kind in overlaps.KINDS} == {
        "seeds": 6,
        "methods": 24,
        "models": 12,
        "both": 24,
    }
    assert found.models is not None
    assert "one method on two models" in overlaps.sentences(results)[1]
    assert sum(text.startswith("On demo:minilm: ") for text in said.sentences(results)) >= 1


def test_hypotheses_are_for_studies_with_published_numbers_or_that_ask(repeated: Results) -> None:
    skipped = hypotheses.build(repeated)
    assert isinstance(skipped, NotApplicable)
    assert "hypotheses: true" in skipped.reason
    assert _panel(hypotheses.build(asking(repeated))).sentences
    published = dataclasses.replace(repeated.study, published={"full": {"accuracy": 0.8}})
    assert _panel(hypotheses.build(Results(repeated.store, published))).sentences


def test_hypotheses_are_about_lora(repeated: Results) -> None:
    panel = _panel(hypotheses.build(asking(repeated)))
    answers = {each["name"]: each["answer"] for each in panel.statistics["hypotheses"]}
    assert answers["Less computation"] == "refuted", "lora takes more time and memory than the top layers"
    assert [(row["light"], row["heavy"]) for row in panel.tables[0].rows] == [
        ("lora r8", "full"),
        ("lora r8", "top_layers 2"),
    ]
    assert any("neutral" in text for text in panel.sentences)
    runs = [run for run in repeated.done if run.model]
    rates = {row["label"]: row["error_rate"] for row in panel.statistics["classes"]}
    expected = np.mean([1 - run.test.per_class["neutral"].recall for run in runs])
    assert rates["neutral"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("time", "memory", "answer"),
    [(0.5, 0.5, "supported"), (0.85, 0.5, "undecided"), (0.5, 1.5, "refuted"), (2, 0.5, "refuted")],
)
def test_less_computation_needs_less_of_both(repeated: Results, time: float, memory: float, answer: str) -> None:
    by_cell = {cell.name: cell for cell in cells(run for run in repeated.done if run.model)}
    heavy = by_cell["full"]
    light = [
        dataclasses.replace(
            run,
            cost=dataclasses.replace(
                run.cost,
                train_seconds=run.cost.train_seconds * time,
                peak_memory_bytes=int(run.cost.peak_memory_bytes * memory),
                trained_parameters=1000,
            ),
        )
        for run in heavy.runs
    ]
    found = less_computation(repeated, [Pair(dataclasses.replace(heavy, name="light", runs=light), heavy)])
    assert found.answer == answer


def test_median_interval_covers() -> None:
    rng = np.random.default_rng(0)
    for number in (12, 80, 501):
        ends = [median_interval(np.sort(rng.exponential(size=number))) for _ in range(400)]
        assert 0.93 <= np.mean([low <= np.log(2) <= high for low, high in ends]) <= 1


def test_a_panel_cannot_take_a_fields_place(plain: Results) -> None:
    broken = dataclasses.replace(plain.study, statistics={"runs": {}})
    with pytest.raises(ValueError, match="runs"):
        StudyResults.to_json(broken)


def apart(folder: Path, texts: int = 1500, shares: tuple[float, ...] = (0.9, 0.8, 0.8)) -> Results:
    """One seed each of methods of which the first is right far more often."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, texts)
    runs = {}
    for number, share in enumerate(shares):
        given = np.where(rng.random(texts) < share, truth, 1 - truth)
        runs[f"method {number}"] = np.eye(2)[given] * 0.8 + 0.1
    return write_runs(folder, {"text": ["words"] * texts, "label": truth}, ("no", "yes"), runs).load()


def test_one_seed_never_says_better(tmp_path: Path) -> None:
    results = asking(apart(tmp_path))
    first = judge(results).verdicts[0]
    assert (first.outcome, first.said) == ("better", "scored higher in this run")
    panel = _panel(verdicts.build(results))
    said_ = [*panel.sentences, *(row["outcome"] for row in panel.tables[0].rows)]
    said_ += _panel(hypotheses.build(results)).sentences
    said_ += [row["said"] for row in panel.charts[0].spec["data"]["values"]]
    assert not [text for text in said_ if "better" in text or "worse" in text or "more accurate" in text]
    assert any(text.startswith("method 0 scored higher in this run than method") for text in said_)
    pair = panel.statistics["pairs"][0]
    assert (pair["outcome"], pair["said"]) == ("better", "scored higher in this run")


def test_hypotheses_stay_undecided_with_one_seed(tmp_path: Path) -> None:
    found = _panel(hypotheses.build(asking(apart(tmp_path)))).statistics["hypotheses"]
    (accuracy,) = [each for each in found if each["name"] == "Similar accuracy"]
    assert accuracy["answer"] == "undecided"
    assert "several seeds of each would tell" in accuracy["sentence"]


def test_undecided_says_what_the_study_tells_apart(plain: Results, repeated: Results) -> None:
    for results in (plain, repeated):
        text = " ".join(said.sentences(results))
        assert "would settle" not in text
        (apart_,) = told_apart(results)
        assert f"This study tells apart differences from about {f.points(apart_.size)} on." in text
        verdict = next(v for v in judge(results).verdicts if v.outcome == "undecided")
        low, high = verdict.score.interval(verdict.adjusted_level)
        assert verdict.at_most == max(-low, high)
        assert f"at most {f.points(verdict.at_most)}" in text
        statistics = _panel(verdicts.build(results)).statistics
        assert statistics["told_apart"][0]["difference"] == apart_.size
        assert all("needed" not in pair for pair in statistics["pairs"])
        assert statistics["pairs"][0]["differ_by_at_most"] == judge(results).verdicts[0].at_most


def test_the_best_set_stands_beside_the_pairs(repeated: Results) -> None:
    panel = _panel(verdicts.build(repeated))
    rows = {row["method"]: row for row in panel.tables[1].rows}
    assert [rows[name]["could"] for name in ("full", "lora r8", "top_layers 2", "tfidf")] == ["yes", "yes", "yes", "no"]
    assert rows["tfidf"]["below"] > 0
    decision = decide(repeated)
    assert [each["could_be_best"] for each in panel.statistics["best_set"]] == [
        each.could_be_best for each in decision.standings
    ]
    assert any(text.startswith("Could be the best of 4 compared: full") for text in panel.sentences)


def test_the_best_set_is_one_across_models(tmp_path: Path) -> None:
    variant = Variant(seeds=2, models=("demo:minilm", "bert"), texts=300, troubled=False, baselines=False)
    results = write(tmp_path, variant).load()
    rows = _panel(verdicts.build(results)).tables[1].rows
    assert {row["model"] for row in rows} == {"demo:minilm", "bert"}
    assert len(rows) == 6
    assert any("on 2 models" in text for text in said.sentences(results))


def test_a_method_that_lost_a_seed_is_not_called_better_without_that(repeated: Results) -> None:
    runs = [
        dataclasses.replace(run, status="diverged", test=None, message="loss is nan") if i == 0 else run
        for i, run in enumerate(repeated.runs)
    ]
    results = _with(repeated, runs)
    panel = _panel(verdicts.build(results))
    better = [row for row in panel.tables[0].rows if row["first"] == "full" and row["outcome"].startswith("better")]
    assert better
    assert all("(1 of 3 seeds of full lost)" in row["outcome"] for row in better)
    assert any("full (1 of 3 seeds lost) (" in text for text in panel.sentences if text.startswith("Against tfidf"))
    assert {tuple(pair["seeds_lost"]) for pair in panel.statistics["pairs"] if pair["first"] == "full"} == {(1, 0)}


def test_unequal_search_is_said(plain: Results) -> None:
    panel = _panel(verdicts.build(plain))
    assert any("rates tried: 2 and 1)" in text for text in panel.sentences)
    assert panel.tables[0].rows[0]["tried"] == "2 and 1"
    assert panel.statistics["pairs"][0]["tried"] == [2, 1]


@pytest.mark.parametrize("metric", ["macro_f1", "balanced_accuracy", "mcc"])
def test_another_measure_decides(repeated: Results, metric: str) -> None:
    study = dataclasses.replace(repeated.study, study=repeated.study.study | {"decide_by": metric})
    results = Results(repeated.store, study)
    panel = _panel(verdicts.build(results))
    assert panel.statistics["decided_by"] == metric
    assert any(text.endswith(" decides.") for text in panel.sentences)
    for verdict, pair in zip(judge(results).verdicts, panel.statistics["pairs"], strict=True):
        assert pair[metric]["adjusted_interval"] == list(verdict.score.interval(verdict.adjusted_level))
        assert "adjusted_interval" not in pair["accuracy"]


def test_too_few_texts_of_a_class_decide_nothing(tmp_path: Path) -> None:
    rare = rare_class(tmp_path / "rare")
    panel = _panel(verdicts.build(rare))
    assert {verdict.outcome for verdict in judge(rare).verdicts} == {"undecided"}
    assert "fewer than 10 test texts of rare (4)" in panel.sentences[1]
    assert panel.statistics["pairs"][0]["macro_f1"]["interval_95"] is None
    assert panel.statistics["pairs"][0]["macro_f1"]["interval_95_reason"]


def rare_class(folder: Path) -> Results:
    """Two methods far apart on texts of which 4 have a third label; macro F1 decides."""
    rng = np.random.default_rng(2)
    truth = np.concatenate([rng.integers(0, 2, 296), np.full(4, 2)])
    runs = {}
    for name, share in (("good", 0.95), ("bad", 0.6)):
        given = np.where(rng.random(300) < share, truth, 1 - np.minimum(truth, 1))
        runs[name] = np.eye(3)[given] * 0.8 + 0.05
    store = write_runs(folder, {"text": ["words"] * 300, "label": truth}, ("no", "yes", "rare"), runs)
    results = store.load()
    return Results(store, dataclasses.replace(results.study, study=results.study.study | {"decide_by": "macro_f1"}))


@pytest.mark.slow
def test_ten_runs_of_a_hundred_thousand_texts_take_seconds(tmp_path: Path) -> None:
    results = write(tmp_path, Variant(texts=100_000, seeds=3, troubled=False)).load()
    start = time.perf_counter()
    for module in (verdicts, seeds, overlap, hypotheses):
        module.build(results)
    assert time.perf_counter() - start < 15
