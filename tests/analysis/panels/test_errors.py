"""What errors look like: exact tests against scipy, planted patterns found first, nothing found in noise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_matrix
from scipy.stats import binomtest, false_discovery_control, fisher_exact
from sklearn.feature_extraction.text import CountVectorizer
from tests.analysis.panels.planted import LABELS, errors, planted_slice, planted_word, texts
from tests.report.synthetic import Variant, sure, write, write_runs

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.findings.errors import hard_labels, slicing
from thriftune.analysis.findings.errors.clusters import regions
from thriftune.analysis.findings.errors.error_matrix import error_matrix
from thriftune.analysis.findings.errors.negation import language
from thriftune.analysis.findings.errors.properties import overlap, parts, ranges
from thriftune.analysis.findings.errors.vocabulary import take_apart, vocabulary
from thriftune.analysis.panels.errors import error_map, error_words, slices, surest
from thriftune.analysis.panels.errors.error_map import keywords
from thriftune.analysis.statistics.enrichment import LEVEL, adjusted, enrichment
from thriftune.results.store import Results

TEXTS = 2000


def study(out: Path, frame: dict[str, Any], wrong: np.ndarray, rng: np.random.Generator) -> Results:
    runs = {f"run {i}": sure(np.asarray(frame["label"]), each, len(LABELS), rng) for i, each in enumerate(wrong)}
    return write_runs(out, frame, LABELS, runs).load()


def built(module: Any, results: Results) -> Panel:
    panel = module.build(results)
    assert isinstance(panel, Panel)
    return panel


class TestArithmetic:
    def test_enrichment_is_fishers_test(self) -> None:
        rng = np.random.default_rng(0)
        n = rng.integers(1, 400, 200)
        k = rng.binomial(n, rng.uniform(0.05, 0.9, 200))
        found = enrichment(k, n, 300, 1000)
        tested = found.p < 1
        assert 30 < tested.sum() < 170
        for i in range(200):
            rest = [300 - k[i], 1000 - n[i] - 300 + k[i]]
            if min(rest) < 0:
                continue
            p = fisher_exact([[k[i], n[i] - k[i]], rest], alternative="greater").pvalue
            assert found.p[i] == pytest.approx(p, rel=1e-6) if tested[i] else p > 0.04
            low, high = binomtest(int(k[i]), int(n[i])).proportion_ci(method="exact")
            assert found.lift[i] == pytest.approx(k[i] / n[i] / 0.3)
            assert [found.low[i], found.high[i]] == pytest.approx([low / 0.3, high / 0.3])

    def test_edges(self) -> None:
        found = enrichment([0, 5, 0], [0, 5, 5], 5, 10)
        assert found.p.tolist() == pytest.approx([1.0, 1 / 252, 1.0])
        assert found.lift.tolist() == [0.0, 2.0, 0.0]
        assert enrichment(0, 5, 0, 10).high == 0
        assert adjusted(np.array([0.01, 0.02])).tolist() == false_discovery_control([0.01, 0.02]).tolist()
        assert len(adjusted(np.array([]))) == 0

    def test_intervals_cover(self) -> None:
        """The lift's interval, with the population's rate taken as known, holds the true lift 95% of the time."""
        rng = np.random.default_rng(1)
        inside = rng.binomial(200, 0.4, 4000)
        outside = rng.binomial(1800, 0.15, 4000)
        found = enrichment(inside, 200, inside + outside, 2000)
        lift = 0.4 / (0.1 * 0.4 + 0.9 * 0.15)
        assert ((found.low <= lift) & (lift <= found.high)).mean() > 0.95

    def test_words_are_scikit_learns(self) -> None:
        frame = pl.DataFrame({"text": ["Ein Haus, ein Hund!", "Дом и дом2", "", None, "a_b don't hund हिन्दी"]})
        found = take_apart(frame, ["text"])
        vectorizer = CountVectorizer(binary=True, token_pattern=r"\w+")
        expected = vectorizer.fit_transform([text or "" for text in frame["text"][:3]]).toarray()
        ids = [found.words.index(word) for word in vectorizer.get_feature_names_out()]
        assert (found.columns["text"][:3, ids].toarray() == expected).all()
        assert found.words == sorted(found.words)
        assert "हिन्दी" in found.words

    def test_words_of_many_texts(self) -> None:
        rng = np.random.default_rng(0)
        lines = [" ".join(f"w{i}" for i in rng.integers(0, 300, 6)) for _ in range(45_000)]
        found = take_apart(pl.DataFrame({"text": lines}), ["text"]).columns["text"]
        assert found.shape == (45_000, 300)
        counts = CountVectorizer(binary=True).fit(lines)
        order = np.argsort(counts.get_feature_names_out())
        assert (found != counts.transform(lines)[:, order]).nnz == 0

    def test_overlap_and_ranges(self) -> None:
        frame = pl.DataFrame({"a": ["the dog runs", "x", ""], "b": ["a dog runs", "", "y y"]})
        assert overlap(take_apart(frame, ["a", "b"]), "a", "b").tolist() == pytest.approx([2 / 3, 0, 0])
        found = ranges("n", np.arange(100.0), "{} words")
        finest = [part for part in found if part.finest]
        assert [part.texts.sum() for part in finest] == [20] * 5
        assert [part.name for part in finest][:2] == ["n: at most 19 words", "n: 20 to 39 words"]
        assert finest[-1].name == "n: at least 80 words"
        assert len(found) == 14
        assert not any(part.texts.all() for part in found)
        assert [part.texts.sum() for part in ranges("n", np.array([1.0, 1, 1, 2]), "{}")] == [3, 1]
        assert ranges("n", np.ones(9), "{}") == []

    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("the man is not on the roof and the dog is with him", "English"),
            ("der Hund und die Katze sind nicht das Problem, es ist ein Haus mit Garten", "German"),
            ("el perro y los gatos no están en la casa, es una lástima por las noches", "Spanish"),
            ("le chien est dans la maison et les chats ne sont pas une menace", "French"),
            ("kissa istuu puussa eikä koira näe sitä", None),
        ],
    )
    def test_languages(self, text: str, name: str | None) -> None:
        found = language(take_apart(pl.DataFrame({"text": [text] * 3}), ["text"]))
        assert (found.name if found else None) == name


def test_error_matrix_takes_the_runs_that_learned(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = texts(300, rng)
    wrong = errors(300, rng, runs=4)
    wrong[3] = rng.random(300) < 0.67
    matrix = error_matrix(study(tmp_path, frame, wrong, rng))
    assert matrix is not None
    assert [run.name for run in matrix.runs] == ["run 0", "run 1", "run 2"]
    assert (matrix.wrong == wrong[:3]).all()
    assert (matrix.shared == (wrong[:3].sum(axis=0) >= 2)).all()
    by_hand = (matrix.predicted == 1).mean(axis=0) > 0.5
    assert (matrix.taken_for(1) == by_hand).all()


@pytest.mark.slow
def test_ten_runs_of_a_hundred_thousand_texts(tmp_path: Path) -> None:
    """All panels on errors together: 30 seconds on two processors, 1 GB on top of what the libraries take."""
    write(tmp_path, Variant(texts=100_000, seeds=3, troubled=False, baselines=True))
    code = f"""
import resource, time
from pathlib import Path
from thriftune.analysis.panels.errors import calibration, confidence, error_map, error_words, slices, surest, words
from thriftune.results.store import Store
def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
results, before, started = Store(Path({str(tmp_path)!r})).load(), memory(), time.process_time()
for module in (words, error_words, slices, surest, error_map, confidence, calibration):
    module.build(results)
print(time.process_time() - started, memory() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, grown = map(float, done.stdout.split())
    assert seconds < 60
    assert grown < 1e9


def _named_first(tmp_path: Path, seeds: range) -> tuple[int, int]:
    words = slice_count = 0
    for seed in seeds:
        rng = np.random.default_rng([7, seed])
        frame, wrong, word = planted_word(TEXTS, rng, pair=seed % 2 == 1)
        panel = built(error_words, study(tmp_path / f"w{seed}", frame, wrong, rng))
        words += panel.tables[0].rows[0]["word"] == word and f"“{word}”" in panel.sentences[0].split(" goes with")[0]
        frame, wrong, names = planted_slice(TEXTS, rng, seed)
        results = study(tmp_path / f"s{seed}", frame, wrong, rng)
        panel = built(slices, results)
        if names[0].startswith("label ") and len(names) == 1:
            slice_count += panel.tables[0].name != "slices" and names[0][6:] in hard_labels.sentences(results)[0]
            continue
        first = panel.tables[0].rows[0]["slice"]
        slice_count += panel.tables[0].name == "slices" and all(name in first for name in names)
        slice_count -= len(first.split(", and ")) > len(names)
    return words, slice_count


def test_planted_patterns_are_named_first(tmp_path: Path) -> None:
    assert _named_first(tmp_path, range(6)) == (6, 6)


@pytest.mark.slow
def test_planted_patterns_are_named_first_in_nineteen_of_twenty(tmp_path: Path) -> None:
    words, found = _named_first(tmp_path, range(20))
    assert words >= 19
    assert found >= 19


def _findings_in_noise(tmp_path: Path, seeds: range) -> tuple[int, int]:
    """In how many of the shuffles each panel finds something; labels and texts stay, errors move."""
    rng = np.random.default_rng(3)
    frame = texts(TEXTS, rng, pair=True)
    truth = np.asarray(frame["label"])
    store = study(tmp_path, frame, errors(TEXTS, rng), rng)
    known = vocabulary(store)
    every = parts(store, known)
    _, held = error_words._features(known)
    words = found = 0
    for seed in seeds:
        rng = np.random.default_rng([11, seed])
        wrong = errors(TEXTS, rng)
        shared = wrong.sum(axis=0) >= 2
        groups = [[error_words.Group("", np.ones(TEXTS, dtype=bool), shared, truth)]]
        groups.append([error_words.Group("", truth == i, (truth == i) & shared) for i in range(3)])
        words += any(len(error_words.search(held, family).p) for family in groups)
        found += bool(slicing.search(every, shared, truth, len(LABELS))[0])
    return words, found


def test_noise_gives_no_finding_in_ninety_five_of_a_hundred(tmp_path: Path) -> None:
    assert max(_findings_in_noise(tmp_path, range(100))) <= 5


def test_a_panel_says_that_nothing_was_found(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    results = study(tmp_path, texts(400, rng), errors(400, rng), rng)
    assert "no word goes with errors beyond chance" in built(error_words, results).sentences[0]
    assert "no kind of text has more errors" in built(slices, results).sentences[-1]


def test_surest_errors_lead_by_probability(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    frame = texts(300, rng)
    results = study(tmp_path, frame, errors(300, rng), rng)
    table = built(surest, results).tables[0]
    assert [column.name for column in table.columns][:2] == ["t0", "true"]
    leads = [row["lead"] for row in table.rows]
    assert leads == sorted(leads, reverse=True)
    i = frame["text"].index(table.rows[0]["t0"])
    total = 0.0
    for run in results.done:
        row = results.predictions(run).row(i, named=True)
        true = row.pop("label")
        total += max(row[f"p_{name}"] for name in LABELS if name != true) - row[f"p_{true}"]
    assert table.rows[0]["lead"] == pytest.approx(total / 3, rel=1e-4)


def blobs(rng: np.random.Generator, rates: tuple[float, ...], count: int = 1500) -> tuple[np.ndarray, ...]:
    """Points around random centres, errors at a rate for each centre, and the centre of each point."""
    centre = rng.integers(0, len(rates), count)
    points = rng.normal(0, 4, (len(rates), 8))[centre] + rng.normal(0, 0.6, (count, 8))
    return points, rng.random(count) < np.asarray(rates)[centre], centre


class TestRegions:
    def test_the_crowded_one_comes_first(self) -> None:
        named = 0
        for seed in range(20):
            points, wrong, centre = blobs(np.random.default_rng([1, seed]), (0.15, 0.15, 0.45, 0.15))
            found = regions(points, wrong)
            named += found.p[0] <= LEVEL and (centre[found.region == 0] == 2).mean() > 0.9
        assert named >= 19

    def test_noise_gives_none(self) -> None:
        named = 0
        for seed in range(60):
            points, wrong, _ = blobs(np.random.default_rng([2, seed]), (0.2, 0.2, 0.2, 0.2), 800)
            named += bool((regions(points, wrong).p <= LEVEL).any())
        assert named <= 3

    def test_rates_come_from_the_texts_between(self) -> None:
        points, wrong, _ = blobs(np.random.default_rng(3), (0.1, 0.5))
        found = regions(points, wrong)
        fresh = np.arange(len(wrong)) % 2 == 1
        for i, numbers in enumerate(zip(found.numbers.texts, found.numbers.errors, strict=True)):
            inside = fresh & (found.region == i)
            assert numbers == (inside.sum(), (inside & wrong).sum())
        clear = found.p <= LEVEL
        assert clear.any()
        for each in (found.numbers.low[clear], found.numbers.low[~clear]):
            assert (np.diff(each) <= 0).all()
        assert (np.diff(clear.astype(int)) <= 0).all()

    def test_few_errors_form_no_cluster(self) -> None:
        found = regions(np.zeros((30, 2)), np.arange(30) < 3)
        assert len(found.p) == 0
        assert set(found.region) == {-1}

    def test_keywords(self) -> None:
        rng = np.random.default_rng(4)
        inside = np.arange(200) < 60
        held = (rng.random((200, 40)) < 0.2).astype(np.float32)
        held[:, 7] = inside & (rng.random(200) < 0.7)
        assert keywords(csr_matrix(held), inside) == [7]
        assert keywords(csr_matrix(held[:, :5]), inside) == []


def test_the_map_draws_a_stated_sample_of_the_best_run_with_a_finding(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    results = study(tmp_path, texts(1400, rng), errors(1400, rng, runs=2), rng)
    panel = built(error_map, results)
    rows = panel.charts[0].spec["data"]["values"]
    found = {each["run"] for each in panel.statistics["regions"] if each["adjusted_p"] <= 0.01}
    runs = [run for run in results.done if run.run_id in found] or results.done
    best = max(runs, key=lambda run: run.test.accuracy if run.test else 0)
    assert best.name in panel.charts[0].title
    assert len(rows) == error_map.MAP_TEXTS
    frame = results.predictions(best)
    wrong = int((frame["label"] != frame["predicted"]).sum())
    assert sum(row["true"] != row["predicted"] for row in rows) == min(wrong, 500)
    assert all((row["series"] == "right") == (row["true"] == row["predicted"]) for row in rows)
    assert all(any(run.name in text for text in panel.sentences) for run in results.done)
