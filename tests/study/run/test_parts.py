"""Probabilities of many texts are scored and written part by part: the same numbers, and the same table."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from thriftune.data.large import arrays
from thriftune.engine.predict import log_softmax
from thriftune.results.files import DamagedError, read_parquet, read_rows
from thriftune.results.run_folder import RunFolder
from thriftune.study.run import scores
from thriftune.study.run.transformer_run import Softmax, dynamics_frames

LABELS = ("a", "b", "^c$")


@dataclass
class FakeJob:
    labels: tuple[str, ...]

    class planned:
        name = "run"


def evaluated(folder: Path) -> tuple[scores.Scores, pl.DataFrame]:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1000, 3)).astype(np.float32)
    frame = pl.DataFrame({"example": np.arange(1000), "label": rng.integers(0, 3, 1000, dtype=np.int32)})
    run = RunFolder(folder)
    found, _ = scores.evaluate(
        FakeJob(LABELS),
        run,
        lambda _: None,
        {"test": frame},
        ["test"],
        lambda _: Softmax(logits),  # type: ignore[arg-type]
    )
    whole = scores.score(frame["label"].to_numpy().astype(np.int64), np.exp(log_softmax(logits)), LABELS)
    assert found["test"] == whole
    return found["test"], run.read_predictions("test")


@pytest.mark.parametrize("rows", [1, 7, 64, 999])
def test_parts_change_nothing(rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, frame = evaluated(tmp_path / "whole")
    monkeypatch.setattr(scores, "TEXTS_AT_ONCE", rows)
    parts, written = evaluated(tmp_path / "parts")
    assert parts == found
    assert written.equals(frame)
    assert written.schema == frame.schema


def test_rows_are_read_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scores, "TEXTS_AT_ONCE", 100)
    _, frame = evaluated(tmp_path)
    path = RunFolder(tmp_path).predictions_path("test")
    columns = ["example", "p_^c$", "label"]
    for rows in ([0, 99, 100, 555, 999], [], [998]):
        assert read_rows(path, np.array(rows, dtype=np.int64), columns).equals(frame[columns][rows])
    assert read_parquet(path, only=["example"]).columns == ["example"]
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DamagedError):
        read_rows(path, [0], columns)


def test_dynamics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = pl.DataFrame({"example": np.array([5, 3, 9])})
    values = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], dtype=np.float32)
    folder = RunFolder(tmp_path)
    folder.write_dynamics_parts(dynamics_frames(train, values))
    found = folder.read_dynamics()
    assert found is not None
    assert found.rows() == [(e, i, float(p)) for i, row in enumerate(values, 1) for e, p in zip([5, 3, 9], row)]
    assert found.schema == {"example": pl.Int64, "epoch": pl.Int32, "p_true": pl.Float32}
    monkeypatch.setattr(arrays, "LARGE_BYTES", 0)
    assert isinstance(arrays.room_for((2, 3), np.float32), np.memmap)
