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
from tests.report.synthetic import VARIANTS, Variant, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.answers import verdicts as said
from thriftune.analysis.findings.errors import overlap as overlaps
from thriftune.analysis.findings.judgement import judge
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
    ("time", "memory", "answer"), [(0.5, 0.5, "supported"), (0.95, 0.5, "undecided"), (0.5, 1.5, "refuted")]
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
    found = less_computation([Pair(dataclasses.replace(heavy, name="light", runs=light), heavy)])
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


@pytest.mark.slow
def test_ten_runs_of_a_hundred_thousand_texts_take_seconds(tmp_path: Path) -> None:
    results = write(tmp_path, Variant(texts=100_000, seeds=3, troubled=False)).load()
    start = time.perf_counter()
    for module in (verdicts, seeds, overlap, hypotheses):
        module.build(results)
    assert time.perf_counter() - start < 15
