"""Panels on the data behind the errors: planted patterns are found, references agree, and silence where it is due."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr
from tests.report.synthetic import VARIANTS, Variant, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.runs import comparable
from thriftune.analysis.panels import PanelModule
from thriftune.analysis.panels.answers import summary
from thriftune.analysis.panels.data import annotators, dynamics, label_errors, partial_text, unanimous
from thriftune.results.store import Results

CALM = Variant(troubled=False, texts=1500)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    variants = {name: VARIANTS[name] for name in ("two-labels", "nasty")} | {"calm": CALM}
    return {name: write(tmp_path_factory.mktemp(name), variant).load() for name, variant in variants.items()}


def _applies(module: PanelModule, results: Results) -> Panel:
    panel = module.build(results)
    assert isinstance(panel, Panel), panel
    return panel


def test_rows_that_could_not_be_used_are_mentioned(studies: dict[str, Results]) -> None:
    assert summary._notes(studies["calm"])[0] == "12 rows of the source could not be used (label is empty: 12)."
    profile = studies["calm"].study.profile
    assert replace(profile, dropped=[]).unusable() is None


class TestLabelErrors:
    def plant(self, seed: int, texts: int = 4000, runs: int = 3, classes: int = 3) -> tuple[np.ndarray, ...]:
        """Labels with 5% changed, runs that are right and wrong as a good classifier is, and what was changed."""
        rng = np.random.default_rng(seed)
        truth = rng.integers(0, classes, texts)
        ease, shared = rng.normal(3, 2, texts), rng.normal(0, 1, (texts, classes))
        probabilities = []
        for _ in range(runs):
            logits = shared + rng.normal(0, 0.5, (texts, classes))
            logits[np.arange(texts), truth] += ease
            logits *= 1.5
            probabilities.append(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))
        changed = rng.random(texts) < 0.05
        given = np.where(changed, (truth + rng.integers(1, classes, texts)) % classes, truth)
        return given, np.stack(probabilities), changed

    @pytest.mark.parametrize("runs", [1, 3, 10])
    def test_planted_errors_are_found(self, runs: int) -> None:
        given, probabilities, changed = self.plant(0, runs=runs)
        found = label_errors.find(given, list(probabilities))
        assert found.flagged[changed].mean() > 0.6
        assert changed[found.flagged].mean() > 0.3
        likeliest = np.argsort(found.quality)[: changed.sum() // 4]
        assert changed[likeliest].mean() > 0.9

    @pytest.mark.parametrize(("runs", "votes"), [(2, 2), (3, 3), (4, 3), (8, 6)])
    def test_three_quarters_of_the_runs_have_to_flag(self, runs: int, votes: int) -> None:
        given, probabilities, _ = self.plant(1, texts=1000, runs=runs)
        alone = [label_errors.find(given, [each]).flagged for each in probabilities]
        both = label_errors.find(given, list(probabilities))
        assert (both.flagged == (np.sum(alone, axis=0) >= votes)).all()
        mean = probabilities.mean(axis=0)
        assert (both.suggested == mean.argmax(axis=1)).all()
        np.testing.assert_allclose(both.quality, mean[np.arange(len(given)), given])

    def test_a_class_that_no_text_has(self) -> None:
        given, probabilities, _ = self.plant(2, runs=1)
        kept = given != 2
        found = label_errors.find(given[kept], [probabilities[0][kept]])
        assert 0 < found.flagged.sum() < kept.sum() / 2

    def test_the_panel_lists_the_texts(self, studies: dict[str, Results]) -> None:
        results = studies["calm"]
        panel = _applies(label_errors, results)
        assert "How many of them truly are is not known" in panel.sentences[0]
        (table,) = panel.tables
        qualities = [row["quality"] for row in table.rows]
        assert qualities == sorted(qualities)
        row = table.rows[0]
        text = results.test.filter(pl.col("example") == int(row["example"])).row(0, named=True)
        assert (row["text0"], row["text1"], row["label"]) == (text["premise"], text["hypothesis"], text["label"])
        expected = np.mean(
            [
                results.predictions(run).filter(pl.col("example") == int(row["example"]))[f"p_{row['label']}"][0]
                for run in label_errors.good_runs(results)
            ]
        )
        assert row["quality"] == pytest.approx(expected, rel=1e-6)

    def test_runs_far_below_the_best_are_not_asked(self, studies: dict[str, Results]) -> None:
        results = studies["calm"]
        runs = comparable(results)
        assert label_errors.good_runs(results) == runs
        weak = [
            replace(run, test=replace(run.test, accuracy=run.test.accuracy - 0.2))
            if run is runs[0] and run.test
            else run
            for run in results.runs
        ]
        poor = Results(results.store, replace(results.study, runs=weak))
        assert [run.name for run in label_errors.good_runs(poor)] == [run.name for run in runs[1:]]

    def test_runs_that_err_too_often_judge_no_labels(self, tmp_path: Path) -> None:
        results = write(tmp_path, Variant(troubled=False, texts=400)).load()
        for run in comparable(results):
            frame = results.predictions(run)
            turned = {
                f"p_{b}": frame[f"p_{a}"] for a, b in zip(CALM.labels, CALM.labels[1:] + CALM.labels[:1], strict=True)
            }
            mixed = [
                pl.when(pl.col("example") % 2 == 0).then(values).otherwise(pl.col(name)).alias(name)
                for name, values in turned.items()
            ]
            results.store.run(run.run_id).write_predictions("test", frame.with_columns(mixed))
        panel = label_errors.build(results.store.load())
        assert isinstance(panel, NotApplicable)
        assert "err too often" in panel.reason


class TestUnanimous:
    def test_counts(self, studies: dict[str, Results]) -> None:
        results = studies["calm"]
        panel = _applies(unanimous, results)
        frames = [results.predictions(run) for run in comparable(results)]
        wrong = np.stack([(frame["label"] != frame["predicted"]).to_numpy() for frame in frames])
        count = int(wrong.all(axis=0).sum())
        assert count > 0
        assert panel.sentences[0].startswith(f"{count} of 1,500 test texts")
        assert f"{100 * wrong.mean(axis=1).prod():.1f}%" in panel.sentences[0]
        assert len(panel.tables[0].rows) == min(count, unanimous.ROWS)
        for row in panel.tables[0].rows:
            assert wrong[:, results.test["example"].to_list().index(int(row["example"]))].all()

    def test_one_run_has_nothing_to_agree_with(self, studies: dict[str, Results]) -> None:
        results = studies["calm"]
        one = Results(results.store, replace(results.study, runs=comparable(results)[:1]))
        assert isinstance(unanimous.build(one), NotApplicable)


class TestDynamics:
    def test_map(self, studies: dict[str, Results]) -> None:
        results = studies["calm"]
        panel = _applies(dynamics, results)
        runs = comparable(results)
        frames = [results.dynamics(run) for run in runs]
        confidence = []
        for run, frame, row in zip(runs, frames, panel.tables[0].rows, strict=True):
            assert frame is not None
            by_text = frame.group_by("example", maintain_order=True).agg(
                pl.col("p_true").mean().alias("mean"), pl.col("p_true").std(ddof=0).alias("deviation")
            )
            confidence.append(by_text["mean"].to_numpy())
            assert row["run"] == run.name
            assert row["confidence"] == pytest.approx(by_text["mean"].mean(), rel=1e-5)
            assert row["variability"] == pytest.approx(by_text["deviation"].mean(), rel=1e-5)
            assert row["always"] + row["changing"] + row["never"] == pytest.approx(1)
        drawn = [sum(cell["count"] for cell in chart.spec["data"]["values"]) for chart in panel.charts]
        assert drawn == [400] * len(runs)
        pairs = [
            spearmanr(confidence[i], confidence[j]).statistic for i in range(len(runs)) for j in range(i + 1, len(runs))
        ]
        assert f"{np.mean(pairs):.2f}" in panel.sentences[1]
        hardest = int(np.mean(confidence, axis=0).argmin())
        assert panel.tables[1].rows[0]["example"] == str(hardest)

    def test_one_epoch_and_none(self, tmp_path: Path, studies: dict[str, Results]) -> None:
        short = write(tmp_path, Variant(epochs=1, texts=300)).load()
        assert isinstance(dynamics.build(short), NotApplicable)
        for run in short.runs:
            short.store.run(run.run_id).dynamics_path.unlink(missing_ok=True)
        assert isinstance(dynamics.build(short), NotApplicable)

    def test_an_epoch_that_training_did_not_finish_is_left_out(self, tmp_path: Path) -> None:
        results = write(tmp_path, Variant(epochs=3, texts=300)).load()
        run = results.runs[0]
        frame = results.dynamics(run)
        assert frame is not None
        unseen = (frame["epoch"] == 3) & (frame["example"] % 2 == 0)
        for partial in (
            frame.filter(~unseen),
            frame.with_columns(p_true=pl.when(unseen).then(None).otherwise(frame["p_true"])),
        ):
            results.store.run(run.run_id).write_dynamics(partial)
            found = dynamics.read(results, run)
            assert found is not None
            assert np.array_equal(found.true_probability.ravel(), frame.filter(frame["epoch"] < 3)["p_true"].to_numpy())
        results.store.run(run.run_id).write_dynamics(frame.filter((frame["epoch"] == 1) & (frame["example"] > 5)))
        assert dynamics.read(results, run) is None


class TestPartialText:
    def test_shares(self, studies: dict[str, Results]) -> None:
        results = studies["nasty"]
        panel = _applies(partial_text, results)
        part = next(run for run in results.done if run.method.get("text"))
        wrong = (results.predictions(part)["label"] != results.predictions(part)["predicted"]).to_numpy()
        assert any("over the majority class" in sentence for sentence in panel.sentences)
        table = next(table for table in panel.tables if table.name.startswith("without-"))
        for row in table.rows:
            run = next(run for run in results.done if run.name == row["run"])
            right = (results.predictions(run)["label"] == results.predictions(run)["predicted"]).to_numpy()
            assert row["easy"] == pytest.approx(right[~wrong].mean())
            assert row["hard"] == pytest.approx(right[wrong].mean())

    def test_says_what_is_missing(self, studies: dict[str, Results]) -> None:
        for name, reason in (("calm", "tfidf with text"), ("two-labels", "one column")):
            panel = partial_text.build(studies[name])
            assert isinstance(panel, NotApplicable)
            assert reason in panel.reason


class TestAnnotators:
    LABELS = ("a", "b")

    def test_which_columns_are_votes(self) -> None:
        frame = pl.DataFrame(
            {
                "example": [0, 1, 2],
                "text": ["a", "b", "a"],
                "label": ["a", "b", "a"],
                "label1": ["a", "b", "b"],
                "label2": ["b", "-", None],
                "genre": ["x", "y", "z"],
                "blank": ["", "", ""],
            }
        )
        votes = annotators.read_votes(frame, list(self.LABELS), ["text"])
        assert votes is not None
        assert votes.columns == ["label1", "label2"]
        assert votes.ids.tolist() == [[0, 1], [1, -1], [1, -1]]
        assert votes.given.tolist() == [2, 1, 1]
        assert votes.agreement(np.array([0, 1, 0])).tolist() == [1, 1, 0]
        assert annotators.read_votes(frame.drop("label1"), list(self.LABELS), ["text"]) is None

    def test_a_column_of_lists(self) -> None:
        frame = pl.DataFrame({"example": [0, 1], "label": ["a", "b"], "votes": [["a", "b", "a"], ["b"]]})
        votes = annotators.read_votes(frame, list(self.LABELS), [])
        assert votes is not None
        assert votes.ids.tolist() == [[0, 1, 0], [1, -1, -1]]

    def test_errors_follow_planted_disagreement(self, tmp_path: Path) -> None:
        results = write(tmp_path, Variant(troubled=False, texts=2000, annotators=True)).load()
        wrong = np.mean(
            [
                (frame["label"] != frame["predicted"]).to_numpy()
                for frame in (results.predictions(run) for run in comparable(results))
            ],
            axis=0,
        )
        rng = np.random.default_rng(0)
        other = ["neutral" if label != "neutral" else "entailment" for label in results.test["label"]]
        columns = {
            f"label{i}": [
                theirs if i > 3 and (error > 0.5 or rng.random() < 0.1) else label
                for label, theirs, error in zip(results.test["label"], other, wrong, strict=True)
            ]
            for i in range(1, 6)
        }
        results.store.write_test(results.test.with_columns(**{name: pl.Series(v) for name, v in columns.items()}))
        panel = _applies(annotators, results.store.load())
        assert panel.tables[0].rows[0]["agreement"] == "5 of 5"
        assert "errors go with disagreement" in panel.sentences[0]
        rates = [row["rate"] for row in panel.tables[0].rows]
        assert rates[-1] > rates[0]

    def test_without_annotators(self, studies: dict[str, Results]) -> None:
        panel = annotators.build(studies["calm"])
        assert isinstance(panel, NotApplicable)
        assert "data.keep" in panel.reason
