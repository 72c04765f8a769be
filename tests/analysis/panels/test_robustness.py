"""Drops between test sets: which texts belong together, intervals against references and by simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tests.report.synthetic import VARIANTS, write

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings.linked import coded
from thriftune.analysis.panels.performance import robustness_drops as robustness
from thriftune.analysis.statistics.basics import wilson
from thriftune.analysis.statistics.drops import Families, drop_between, families, paired_drop
from thriftune.data.robustness import load_with_robustness
from thriftune.data.settings import DataSettings
from thriftune.results.store import Results


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    return {name: write(tmp_path_factory.mktemp(name), VARIANTS[name]).load() for name in ("plain", "seeds")}


def _panel(results: Results) -> Panel:
    panel = robustness.build(results)
    assert isinstance(panel, Panel)
    return panel


def _families(first: pl.DataFrame, second: pl.DataFrame) -> Families | None:
    return families(*coded(first, second, first.columns))


class TestFamilies:
    def test_texts_that_share_a_part_belong_together(self) -> None:
        first = pl.DataFrame({"a": [f"p{i}" for i in range(40)], "b": [f"h{i}" for i in range(40)]})
        second = pl.DataFrame(
            {"a": [f"p{i}" for i in range(40)] + ["new"] * 40 + ["other"], "b": ["x"] * 0 + [f"r{i}" for i in range(40)]
             + [f"h{i}" for i in range(40)] + ["else"]}
        )  # fmt: skip
        second = second.with_columns(
            pl.when(pl.col("a") == "new").then(pl.col("a") + pl.col("b")).otherwise(pl.col("a")).alias("a")
        )
        found = _families(first, second)
        assert found is not None
        assert found.shared_texts == 80
        for i in range(40):
            assert found.first[i] == found.second[i] == found.second[40 + i]
        assert len(set(found.first)) == 40
        assert found.second[80] not in found.first

    def test_the_same_words_in_another_column_are_no_link(self) -> None:
        frame = pl.DataFrame({"a": [f"x{i}" for i in range(40)], "b": [f"y{i}" for i in range(40)]})
        assert _families(frame, frame.select(pl.col("b").alias("a"), pl.col("a").alias("b"))) is None

    def test_too_few_families_or_texts_do_not_pair(self) -> None:
        first = pl.DataFrame({"a": ["one"] * 50 + ["two"] * 50, "b": [f"h{i}" for i in range(100)]})
        assert _families(first, first) is None
        many = pl.DataFrame({"a": [f"p{i}" for i in range(100)]})
        assert _families(many, pl.DataFrame({"a": [f"p{i}" for i in range(49)] + [f"q{i}" for i in range(51)]})) is None

    def test_revisions_pair_with_their_originals(self) -> None:
        data = load_with_robustness(
            DataSettings(source="demo:snli", text=("premise", "hypothesis")),
            {"original": "demo:cad-original", "revised": "demo:cad-revised"},
        )
        frames = {name: further.frame for name, further in data.robustness.items()}
        found = families(*coded(frames["original"], frames["revised"], ["premise", "hypothesis"]))
        assert found is not None
        assert found.shared_texts == 1598
        assert len(set(found.first)) == 385


class TestDrops:
    def test_newcombe(self) -> None:
        """The worked example of Newcombe (1998), method 10: 56/70 against 48/80."""
        drop = drop_between(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
        assert (drop.value, drop.low, drop.high) == pytest.approx((0.2, 0.0524, 0.3339), abs=1e-4)

    def test_identical_answers_on_paired_texts_have_no_drop(self) -> None:
        rng = np.random.default_rng(0)
        right = (rng.random(300) < 0.8).astype(float)
        frame = pl.DataFrame({"a": [f"p{i}" for i in range(300)]})
        groups = _families(frame, frame)
        assert groups is not None
        drop = paired_drop(right, right, groups)
        assert (drop.value, drop.low, drop.high) == (0, 0, 0)

    @staticmethod
    def simulated(seed: int, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """400 originals at 80% and four revisions of each at 60%, alike within a family."""
        rng = np.random.default_rng(seed)
        ease = rng.normal(0, spread, 400)
        first = rng.random(400) < np.clip(0.8 + ease, 0, 1)
        second = rng.random((400, 4)) < np.clip(0.6 + ease, 0, 1)[:, None]
        return first.astype(float), second.ravel().astype(float), np.arange(400), np.repeat(np.arange(400), 4)

    @pytest.mark.parametrize("spread", [0.0, 0.15])
    def test_the_interval_holds_the_true_drop_95_times_in_100(self, spread: float) -> None:
        clipped = [np.clip(np.random.default_rng(9).normal(m, spread, 10**6), 0, 1).mean() for m in (0.8, 0.6)]
        true = clipped[0] - clipped[1]
        held = 0
        for seed in range(400):
            first, second, ours, theirs = self.simulated(seed, spread)
            drop = paired_drop(first, second, Families(ours, theirs, 1600))
            held += drop.low <= true <= drop.high
        assert 0.92 <= held / 400 <= 0.98

    def test_a_hundred_thousand_families(self) -> None:
        """Each of one text and its partner: an algorithm over pairs of texts would not end."""
        rng = np.random.default_rng(0)
        frame = pl.DataFrame({"a": [f"p{i}" for i in range(100_000)]})
        groups = _families(frame, frame)
        assert groups is not None
        first, second = rng.random(100_000).round(), rng.random(100_000).round()
        drop = paired_drop(first, second, groups)
        half = 1.96 * np.std(first - second) / np.sqrt(100_000)
        assert (drop.low, drop.high) == pytest.approx((drop.value - half, drop.value + half), abs=half / 50)


class TestPanel:
    def test_numbers(self, studies: dict[str, Results]) -> None:
        results = studies["plain"]
        tables = {table.caption.split(",")[0]: table for table in _panel(results).tables}
        assert "against test (paired)" in tables["again"].caption
        assert "against test (unrelated texts)" in tables["other"].caption
        for name, table in tables.items():
            for row in table.rows:
                run = next(run for run in results.done if run.name == row["cell"])
                assert run.test is not None
                assert row["accuracy"] == pytest.approx(run.robustness[name].accuracy)
                assert row["drop"] == pytest.approx(run.test.accuracy - run.robustness[name].accuracy)
        again = _panel(results).statistics["sets"][0]
        assert (again["name"], again["reference"], again["paired"]) == ("again", "test", True)
        for method in again["methods"]:
            assert method["drop_interval_95"][0] <= method["drop"] <= method["drop_interval_95"][1]

    def test_seeds_are_averaged(self, studies: dict[str, Results]) -> None:
        results = studies["seeds"]
        row = _panel(results).tables[0].rows[0]
        runs = [run for run in results.done if run.cell == row["cell"]]
        assert len(runs) == 2
        assert row["accuracy"] == pytest.approx(np.mean([run.robustness["again"].accuracy for run in runs]))
        assert "mean of 2 seeds" in row["remark"]

    def test_a_method_that_loses_most_is_named(self, tmp_path: Path) -> None:
        results = write(tmp_path, VARIANTS["plain"]).load()
        run = next(run for run in results.done if run.name == "top_layers 2")
        frame = results.predictions(run, "again")
        labels = results.labels
        turned = frame["label"].replace_strict(labels, labels[1:] + labels[:1])
        results.store.run(run.run_id).write_predictions("again", frame.with_columns(turned.alias("predicted")))
        sentences = _panel(results.store.load()).sentences
        assert "top_layers 2 loses most" in sentences[0]
        assert "their intervals do not overlap" in sentences[0]

    def test_sets_that_changed_since_are_left_out(self, tmp_path: Path) -> None:
        import dataclasses

        results = write(tmp_path, VARIANTS["plain"]).load()
        profile = dataclasses.replace(results.study.robustness["again"], fingerprint="new")
        study = dataclasses.replace(results.study, robustness={"again": profile})
        assert isinstance(robustness.build(Results(results.store, study)), NotApplicable)
        none = dataclasses.replace(results.study, robustness={})
        assert isinstance(robustness.build(Results(results.store, none)), NotApplicable)
