"""How long a study takes, from what each of its methods takes per text: predicted, before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from thriftune.engine.pace import look_interval
from thriftune.engine.protocol import Protocol
from thriftune.methods.base import TransformerMethod
from thriftune.study.forecast.effort import effort

RUN_SECONDS = 5.0
"""A run's process, loading, scores and storing: a guess."""
NGRAM_SECONDS = 2e-3
"""tfidf, for each training text: a guess."""
REGRESSION_SECONDS, MOST_NUMBERS = 1.5e-7, 1e9
"""The search of `embeddings`, for each number (texts x hidden size x classes) up to so many: a guess."""


@dataclass(frozen=True)
class Speed:
    """Seconds that a fine-tuning takes for one text of the study's length."""

    step: float
    """In a training step."""
    prefix: float
    """In the frozen layers' single pass; 0 where they run in every step."""
    forward: float
    """In a look at validation, or the test."""


@dataclass(frozen=True)
class Speeds:
    """What this machine takes for the methods that init proposes."""

    machine: str
    """In words: "2 processors"."""
    hidden: int
    encoder: float
    """Seconds for one text's single pass through the whole encoder."""
    methods: Mapping[str, Speed]
    """By the method's name."""


def training_seconds(method: TransformerMethod, speed: Speed, protocol: Protocol, rows: Mapping[str, int]) -> float:
    """Of one run of a transformer method, from its start to its end; `rows` by split."""
    expected = effort(method, protocol, rows["train"])
    validation = rows.get("validation", 0)
    every = protocol.budget.validate_every or look_interval(protocol, expected.epoch_steps, validation)
    looks = math.ceil(expected.steps / every) if protocol.epochs == "auto" else math.ceil(expected.epochs)
    steps = speed.step * expected.main_samples
    if protocol.epochs == "auto" and protocol.budget.seconds is not None and steps > protocol.budget.seconds:
        looks = math.ceil(looks * protocol.budget.seconds / steps)
        steps = protocol.budget.seconds
    looked = validation * (looks * expected.trainings + expected.probes) + rows.get("test", 0)
    tried = speed.step * expected.probe_samples
    return RUN_SECONDS + speed.prefix * sum(rows.values()) + steps + tried + speed.forward * looked


def embedding_seconds(speeds: Speeds, rows: Mapping[str, int], classes: int) -> float:
    """Of the run of frozen vectors and a regression on them."""
    numbers = float(rows["train"] * speeds.hidden * classes)
    return RUN_SECONDS + speeds.encoder * sum(rows.values()) + REGRESSION_SECONDS * min(numbers, MOST_NUMBERS)


def ngram_seconds(rows: Mapping[str, int]) -> float:
    """Of the run of n-grams."""
    return 1.0 + NGRAM_SECONDS * sum(rows.values())


def about(seconds: float) -> str:
    """A rough duration: "15 s", "4 min", "2.5 h", "3 days"."""
    if seconds < 57.5:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    if seconds < 48 * 3600:
        return f"{round(2 * seconds / 3600) / 2:g} h"
    return f"{round(seconds / 86400)} days"
