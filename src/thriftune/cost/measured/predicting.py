"""What a trained model costs in use: the seconds of one text, texts a second in batches, and the memory of both."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thriftune.results.cost import Cost

if TYPE_CHECKING:
    import torch

SECONDS = 1.2
"""That a run gives it at most, once LEAST are done: half for single texts, a third for batches, the rest for warmth
and memory. 0: nothing is measured."""
BATCH = 32
"""Texts that are predicted together for `predict_texts_per_second`."""
LEAST, MOST = 10, 300
"""Single texts."""
MOST_BATCHES = 10
SHARES = {"warm": 0.1, "single": 0.5, "batches": 0.3}

NOT_MEASURED = "predicting was not measured"
NO_TENSORS = "the method predicts without tensors"


@dataclass(frozen=True, kw_only=True)
class Predicting:
    """The fields of `Cost` that are called so."""

    latency_seconds: float | None = None
    latency_p95_seconds: float | None = None
    predict_texts_per_second: float | None = None
    predict_memory_bytes: int | None = None
    reasons: dict[str, str] = field(default_factory=dict)


PREDICTING = tuple(each.name for each in fields(Predicting) if each.name != "reasons")

Columns = list[list[str]]
"""Texts as one list for each text column."""


@dataclass(frozen=True)
class _Work:
    """Texts that take turns."""

    predict: Callable[[Columns], object]
    texts: Columns
    """At least one, in each column."""

    def __call__(self, first: int, count: int) -> float:
        """Seconds of predicting so many texts from the first on, begun anew at the end."""
        places = [(first + index) % len(self.texts[0]) for index in range(count)]
        columns = [[column[place] for place in places] for column in self.texts]
        started = time.perf_counter()
        self.predict(columns)
        return time.perf_counter() - started


def measure(
    predict: Callable[[Columns], object],
    texts: Columns,
    *,
    peak: Callable[[Callable[[], object]], int] | None = None,
    seconds: float | None = None,
) -> Predicting:
    """Times `predict` on real texts, tokenising included, after it is warm; it returns when its results are there.

    `peak` says how many bytes some work needs at most; without it memory is not known. `seconds` is SECONDS where none
    are given.
    """
    budget = SECONDS if seconds is None else seconds
    if budget <= 0 or not texts or not texts[0]:
        return Predicting(reasons=dict.fromkeys(PREDICTING, NOT_MEASURED))
    work, count = _Work(predict, texts), len(texts[0])
    batch = min(BATCH, count)
    work(0, 1)
    work(0, batch)
    _until(lambda index: work(index, 1), budget * SHARES["warm"], 1, LEAST)
    single = _until(lambda index: work(index, 1), budget * SHARES["single"], LEAST, MOST)
    batches = _until(lambda index: work(index * batch, batch), budget * SHARES["batches"], 1, MOST_BATCHES)
    reasons = {} if peak is not None else {"predict_memory_bytes": NO_TENSORS}
    return Predicting(
        latency_seconds=float(np.median(single)),
        latency_p95_seconds=float(np.percentile(single, 95)),
        predict_texts_per_second=batch / float(np.median(batches)),
        predict_memory_bytes=None if peak is None else peak(lambda: work(0, batch)),
        reasons=reasons,
    )


def measure_stored(
    folder: Path, base: Path | None, device: str, texts: Columns, *, seconds: float | None = None
) -> Predicting:
    """The same of a stored transformer, loaded as it is in use: a LoRA update is merged.

    Where a GPU is too small for it beside what it holds already, the reason says so.
    """
    import torch

    from thriftune.engine.stored.load import load_transformer

    if (SECONDS if seconds is None else seconds) <= 0:
        return measure(lambda _: None, [], seconds=0)
    try:
        model = load_transformer(folder, device, base)
        return measure(model.probabilities, texts, peak=lambda work: _peak(model, work), seconds=seconds)
    except torch.OutOfMemoryError:
        reason = "the GPU's memory was not enough to measure it"
        return Predicting(reasons=dict.fromkeys(PREDICTING, reason))


def _peak(model: Any, work: Callable[[], object]) -> int:
    """Bytes of the weights in both of their orders, and of what predicting makes."""
    from thriftune.cost.measured.memory import peak_of
    from thriftune.models.ops.products import ordered_bytes

    root = model.network.root
    weights: list[torch.Tensor] = [*root.parameters(), *root.buffers()]
    return peak_of(weights, work) + ordered_bytes(root)


def _until(work: Callable[[int], float], seconds: float, least: int, most: int) -> list[float]:
    """What some work says, again and again until the seconds are over; at least and at most so often."""
    found: list[float] = []
    while len(found) < least or (len(found) < most and sum(found) < seconds):
        found.append(work(len(found)))
    return found


def sampled(texts: Sequence[Sequence[str]], most: int = MOST) -> Columns:
    """At most so many texts, evenly spaced."""
    rows = sampled_rows(len(texts[0]) if texts else 0, most)
    return [[column[row] for row in rows] for column in texts]


def sampled_rows(count: int, most: int = MOST) -> npt.NDArray[np.int64]:
    """Which of `count` texts they are."""
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round().astype(np.int64))


def with_predicting(cost: Cost, found: Predicting) -> Cost:
    """A run's cost with what its model costs in use."""
    numbers = {name: getattr(found, name) for name in PREDICTING}
    return replace(cost, **numbers, reasons={**cost.reasons, **found.reasons})
