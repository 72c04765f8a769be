"""Results of studies whose predictions are given, in memory: nothing lies on disk and nothing is trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.report.synthetic import Variant, _cost, _profile

from thriftune.results.cost import Cost
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.scores import Scores
from thriftune.results.store import Results, Store
from thriftune.results.training import Training


@dataclass(frozen=True)
class Planted:
    """One method: its seeds' predictions (label ids), shape (seeds, texts), and what it cost."""

    predicted: np.ndarray
    seconds: float = 60.0
    memory: int | None = 1_000_000_000
    stored: int = 90_000_000
    adapter: bool = False
    baseline: bool = False
    training: Training | None = None


class InMemory(Results):
    """Results whose tables of predictions are held."""

    def __init__(self, study: StudyResults, frames: dict[str, pl.DataFrame]) -> None:
        super().__init__(Store(Path("nowhere")), study)
        self.frames = frames

    def predictions(self, run: RunRecord, name: str = "test") -> pl.DataFrame:
        return self.frames[run.run_id]

    def history(self, run: RunRecord) -> tuple[list[StepPoint], list[EpochPoint]]:
        return [], []


def study_of(label: np.ndarray, methods: dict[str, Planted], classes: int = 2, **settings: Any) -> Results:
    """A study of some methods on one model; `settings` are keys of its study file (tolerance, decide_by, margin)."""
    names = [f"class {i}" for i in range(classes)]
    frames, runs = {}, []
    for name, method in methods.items():
        for seed, predicted in enumerate(method.predicted):
            run_id = f"{name}-{seed}"
            frames[run_id] = pl.DataFrame({"label": label, "predicted": predicted})
            runs.append(_record(name, run_id, seed, method, _scores(label, predicted, classes)))
    profile = replace(_some_profile(), labels=names)
    study = StudyResults("planted", {"name": "planted", **settings}, profile, runs, 0.5, {}, {})
    return InMemory(study, frames)


def answers(rng: np.random.Generator, label: np.ndarray, right: np.ndarray, classes: int = 2) -> np.ndarray:
    """Predictions that are right where `right`, of shape (..., texts), says so."""
    return np.where(right, label, (label + rng.integers(1, classes, right.shape)) % classes)


@cache
def _some_profile() -> Any:
    return _profile(Variant(), np.zeros(10, dtype=np.int64), np.random.default_rng(0))


def _scores(label: np.ndarray, predicted: np.ndarray, classes: int) -> Scores:
    confusion = np.bincount(label * classes + predicted, minlength=classes**2).reshape(classes, classes)
    return Scores(float((label == predicted).mean()), 0.0, None, {}, confusion.tolist())


@cache
def _some_cost() -> Cost:
    return _cost("full", 60.0, 1.0, np.random.default_rng(0))


def _record(name: str, run_id: str, seed: int, method: Planted, test: Scores) -> RunRecord:
    cost = replace(
        _some_cost(),
        train_seconds=method.seconds,
        prefix_seconds=0.0,
        peak_memory_bytes=None if method.baseline else method.memory,
        prefix_peak_memory_bytes=None,
        fit_memory_bytes=method.memory if method.baseline else None,
        stored_bytes=method.stored,
        adapter=None if method.baseline else method.adapter,
    )
    return RunRecord(
        run_id=run_id,
        name=f"{name} seed {seed}" if len(method.predicted) > 1 else name,
        cell=name,
        status="done",
        message=None,
        model=None if method.baseline else "demo:minilm",
        method={"name": "tfidf" if method.baseline else "full"},
        seed=seed,
        protocol={"epochs": 3},
        head={},
        learning_rate=None,
        best_epoch=None,
        test=test,
        validation=None,
        cost=cost,
        training=method.training,
        baseline=method.baseline,
    )
