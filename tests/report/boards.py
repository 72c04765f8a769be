"""Studies made up for the first screen: any methods, seeds and classes, with the scores that a test asks for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.report.synthetic import Variant, _cost, _profile, _protocol, _record, ended

from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.store import Store


@dataclass(frozen=True, kw_only=True)
class Made:
    """One method of a made-up study."""

    name: str
    right: float
    """Share of the texts that it classifies correctly; 0: it failed; below 0: it gives every text one label."""
    seconds: float = 60.0
    memory: float = 200e6
    stored: int = 91_000_000
    parameters: int = 22_700_000
    baseline: bool = False
    gain: float = 0.001
    """On validation in the last epoch."""
    model: str = "demo:minilm"
    spread: float = 0.0
    """Standard deviation of `right` over seeds."""


DEMO = (
    Made(name="lora r8 all", right=0.665, seconds=52, memory=183e6, stored=900_000, parameters=222_000),
    Made(name="top_layers 2", right=0.663, seconds=27, memory=87e6, parameters=3_600_000),
    Made(name="full", right=0.639, seconds=86, memory=343e6),
    Made(name="lora r8 top 2", right=0.598, seconds=23, memory=45e6, stored=700_000, parameters=90_000),
    Made(name="tfidf hypothesis only", right=0.547, seconds=1, memory=60e6, stored=500_000, baseline=True),
    Made(name="tfidf", right=0.531, seconds=5, memory=90e6, stored=1_300_000, baseline=True),
    Made(name="head_only", right=0.456, seconds=13, memory=2.5e6, parameters=150_000),
)
"""As the packaged demo, about."""


def improving(methods: tuple[Made, ...]) -> tuple[Made, ...]:
    """The same, all fine-tuned ones still improving."""
    return tuple(each if each.baseline else replace(each, gain=0.02 + 0.01 * i) for i, each in enumerate(methods))


def write_board(
    out: Path,
    methods: tuple[Made, ...] = DEMO,
    *,
    seeds: int = 1,
    labels: tuple[str, ...] = ("entailment", "neutral", "contradiction"),
    texts: int = 3000,
    epochs: int = 2,
    name: str = "snli-demo",
    hard: int = 1,
    alike: float = 0.9,
    seed: int = 3,
    **study: Any,
) -> Store:
    """Writes the folder; texts of label number `hard` are the hardest, and methods err on `alike` the same texts."""
    rng = np.random.default_rng(seed)
    variant = Variant(labels=labels, columns=("premise", "hypothesis"), texts=texts, epochs=epochs, name=name)
    truth = rng.integers(0, len(labels), texts)
    shared = rng.normal(0, 1, texts) + 0.9 * (truth == hard)
    store = Store(out)
    words = rng.integers(0, 999, (texts, 8))
    frame = {"example": np.arange(texts)} | {
        column: [" ".join(f"word{n}" for n in row) for row in words] for column in variant.columns
    }
    store.write_test(pl.DataFrame(frame | {"label": [labels[i] for i in truth]}))
    runs: list[RunRecord] = []
    for number, each in enumerate(methods):
        for repeat in range(1 if each.baseline else seeds):
            difficulty = np.sqrt(alike) * shared + np.sqrt(1 - alike) * rng.normal(0, 1, texts)
            share = each.right + (each.spread * rng.normal() if each.spread and each.right > 0 else 0.0)
            right = np.argsort(np.argsort(difficulty)) < round(share * texts)
            runs.append(_run(store, variant, truth, each, number, repeat, seeds, right, rng))
    keys = {"name": name, "seeds": list(range(seeds)), **study}
    profile = replace(_profile(variant, truth, rng), dropped=[], shared=[])
    profile = replace(profile, rows={"train": 3000, "validation": 1000, "test": texts})
    store.write_results(StudyResults(name, keys, profile, runs, 0.5, {}, {"thriftune": "0.1.0", "gpu": None}))
    return store


def _run(
    store: Store,
    variant: Variant,
    truth: np.ndarray,
    each: Made,
    number: int,
    seed: int,
    seeds: int,
    right: np.ndarray,
    rng: np.random.Generator,
) -> RunRecord:
    settings: dict[str, Any] = {
        "run_id": f"run-{number}-{seed}",
        "name": f"{each.name} seed {seed}" if seeds > 1 and not each.baseline else each.name,
        "cell": each.name,
        "model": None if each.baseline else each.model,
        "method": {"name": "tfidf"} if each.baseline else {"name": "lora", "rank": number + 1},
        "seed": seed,
        "protocol": _protocol(variant),
    }
    if each.right == 0:
        failed = {"status": "out_of_memory", "message": "the batch needed 19.7 GB; 8 GB are there."}
        rest = {"head": {}, "learning_rate": None, "best_epoch": None, "test": None, "validation": None, "cost": None}
        return RunRecord(**settings, **failed, **rest)
    classes = len(variant.labels)
    answer = np.where(right, truth, (truth + 1 + rng.integers(0, max(1, classes - 1), len(truth))) % classes)
    answer = np.where(~right & (answer == truth), (truth + 1) % classes, answer)
    if each.right < 0:
        answer = np.zeros_like(truth)
    probabilities = np.full((len(truth), classes), 0.3 / classes)
    probabilities[np.arange(len(truth)), answer] += 0.7
    history = not each.baseline
    return _record(
        store,
        variant,
        truth,
        probabilities,
        history=history,
        cost=_costs(each, rng),
        training=ended(each.gain, 0.01, epochs=variant.epochs) if history else None,
        **settings,
    )


def _costs(each: Made, rng: np.random.Generator) -> Cost:
    cost = replace(
        _cost("full", each.seconds, 1.0, rng),
        peak_memory_bytes=int(each.memory),
        peak_process_bytes=int(each.memory),
        stored_bytes=each.stored,
        trained_parameters=each.parameters,
    )
    if not each.baseline:
        return cost
    none = "no optimisation steps"
    return replace(
        cost,
        fit_memory_bytes=int(each.memory),
        peak_memory_bytes=None,
        reasons={"peak_memory_bytes": none},
        layers=None,
        memory=None,
    )
