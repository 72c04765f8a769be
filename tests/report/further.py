"""What the panels on the data behind the errors read, made up beside a synthetic study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from thriftune.results.profile import Dropped, RobustnessProfile
from thriftune.results.record import RunRecord
from thriftune.results.store import Store

if TYPE_CHECKING:
    from tests.report.synthetic import Variant

ANNOTATORS = 5


def votes(label_names: list[str], labels: tuple[str, ...], rng: np.random.Generator) -> dict[str, list[str | None]]:
    """Labels of single annotators, as SNLI's distributed files hold them: the first one's is always there."""
    columns: dict[str, list[str | None]] = {}
    for number in range(1, ANNOTATORS + 1):
        doubt = rng.random(len(label_names))
        other = rng.integers(0, len(labels), len(label_names))
        columns[f"label{number}"] = [
            (labels[j] if d < 0.2 else name) if number == 1 or i % 3 else None
            for i, (name, d, j) in enumerate(zip(label_names, doubt, other, strict=True))
        ]
    return columns


def write_dynamics(store: Store, variant: Variant, runs: list[RunRecord], rng: np.random.Generator) -> None:
    """train.parquet, and dynamics of every fine-tuned run that is done."""
    texts = variant.training_texts
    frame = {"example": np.arange(texts)} | {
        column: [f"training text {i} of {column}" for i in range(texts)] for column in variant.columns
    }
    store.write_train(pl.DataFrame(frame | {"label": [variant.labels[i % len(variant.labels)] for i in range(texts)]}))
    ease = rng.normal(1, 1.2, texts)
    for run in (each for each in runs if each.model is not None and each.status == "done"):
        epochs = [1 / (1 + np.exp(-(ease + rng.normal(0.5 * epoch, 0.8, texts)))) for epoch in range(variant.epochs)]
        store.run(run.run_id).write_dynamics(
            pl.DataFrame(
                {
                    "example": np.tile(np.arange(texts), variant.epochs),
                    "epoch": np.repeat(np.arange(1, variant.epochs + 1, dtype=np.int32), texts),
                    "p_true": np.concatenate(epochs).astype(np.float32),
                }
            )
        )


def write_robustness(store: Store, variant: Variant, runs: list[RunRecord]) -> dict[str, RobustnessProfile]:
    """Two robustness sets for every done run: the first test texts, and others, two thirds as many, beyond pairing.

    Replaces the records in `runs` by ones with scores.
    """
    from tests.report.synthetic import scores

    test = pl.read_parquet(store.test_path)
    names = pl.col(variant.columns)
    first, last = variant.further_texts, 2 * variant.further_texts // 3
    sets = {
        "again": test.head(first),
        "other": test.tail(last).with_columns(names + " and more of it"),
    }
    if len(variant.columns) > 1:  # a revision keeps one of the two texts
        sets["again"] = sets["again"].with_columns(pl.col(variant.columns[0]) + " revised")
    store.write_robustness(sets)
    for index, run in enumerate(runs):
        if run.test is None:
            continue
        found = {}
        for name, frame in sets.items():
            whole = store.run(run.run_id).read_predictions("test")
            rows = whole.head(first) if name == "again" else whole.tail(last)
            store.run(run.run_id).write_predictions(name, rows)
            truth = np.array([variant.labels.index(label) for label in rows["label"]])
            assert rows["label"].to_list() == frame["label"].to_list()
            found[name] = scores(truth, rows.select(pl.col("^p_.*$")).to_numpy(), variant.labels)
        runs[index] = replace(run, robustness=found, robustness_fingerprints={name: name for name in sets})
        store.run(run.run_id).write_record(runs[index])
    return {
        name: RobustnessProfile(
            source=f"{name}.csv",
            rows=frame.height,
            label_counts={label: int((frame["label"] == label).sum()) for label in variant.labels},
            dropped=[Dropped(name, "label is empty", 3)],
            notes=[],
            fingerprint=name,
        )
        for name, frame in sets.items()
    }
