"""Which runs can be compared: cells, runs that learned, and protocols that differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import ref

import numpy as np

from thriftune import wording as f
from thriftune.analysis.statistics.basics import above_share, wilson
from thriftune.analysis.statistics.dependence import LEVEL, Dependence, dependence
from thriftune.processors import BESIDE, BUSY
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.scores import Scores
from thriftune.results.store import Results

PROTOCOL_NAMES = {
    "batch_size": "batch size",
    "accumulate": "batches per step",
    "max_tokens": "max tokens",
    "frozen_dropout": "dropout of frozen layers",
    "recompute": "recomputed activations",
    "gpu_prefix_gb": "GPU memory for frozen layers' output (GB)",
    "keep": "weights kept",
    "select": "selected by",
    "early_stopping": "early stopping",
}

CHANCE = "predictions do not depend on the labels"
"""What is said of a run that did not learn."""

MACHINE_KEYS = ("device", "gpu", "processor", "threads", "torch", "transformers")
"""Entries of a run's environment that its cost depends on."""


@dataclass(frozen=True)
class Cell:
    """Runs that differ by seed alone."""

    name: str
    runs: list[RunRecord]

    @property
    def accuracy(self) -> float:
        """Mean test accuracy."""
        return _mean([run.test.accuracy for run in self.runs if run.test is not None])

    @property
    def interval(self) -> tuple[float, float]:
        """From the lowest to the highest end of its runs' 95% Wilson intervals."""
        ends = [interval(run.test) for run in self.runs if run.test is not None]
        return min(low for low, _ in ends), max(high for _, high in ends)

    @property
    def seconds(self) -> float | None:
        """Mean training seconds, prefix included."""
        return _mean_known([training_seconds(run) for run in self.runs])

    @property
    def memory(self) -> float | None:
        """Mean peak memory in bytes: of training steps, or of what a baseline does instead."""
        return _mean_known([training_memory(run) for run in self.runs])

    @property
    def parameters(self) -> float | None:
        """Mean number of trained parameters, the head's included."""
        return _mean_known([run.cost.trained_parameters if run.cost else None for run in self.runs])

    @property
    def stored(self) -> float | None:
        """Mean stored weight bytes."""
        return _mean_known([run.cost.stored_bytes if run.cost else None for run in self.runs])


Costs = list[tuple[RunRecord, Cost]]


def costs_of(runs: Iterable[RunRecord], baselines: bool = True) -> Costs:
    """The runs whose costs were measured, with them."""
    return [(run, run.cost) for run in runs if run.cost is not None and (baselines or not is_baseline(run))]


def cells(runs: Iterable[RunRecord]) -> list[Cell]:
    """The runs grouped by cell, in their order; a cell of one run takes the run's name."""
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        groups.setdefault(run.cell, []).append(run)
    return [Cell(name if len(group) > 1 else group[0].name, group) for name, group in groups.items()]


def is_baseline(run: RunRecord) -> bool:
    """Whether the run fine-tunes nothing: it has no transformer, or leaves it frozen."""
    return run.baseline or run.model is None


def lacks(run: RunRecord) -> str:
    """What a baseline does without."""
    return "a transformer" if run.model is None else "fine-tuning"


def correct(scores: Scores) -> int:
    """How many texts were classified correctly."""
    return sum(row[i] for i, row in enumerate(scores.confusion))


def errors(scores: Scores) -> int:
    """How many texts were classified wrongly."""
    return scores.texts - correct(scores)


def interval(scores: Scores) -> tuple[float, float]:
    """The accuracy's 95% Wilson interval."""
    return wilson(correct(scores), scores.texts)


def majority_share(scores: Scores) -> float:
    """The share of the texts that the most frequent true label has."""
    return max((sum(row) for row in scores.confusion), default=0) / max(1, scores.texts)


def learned(run: RunRecord) -> bool:
    """Whether the run's predictions depend on the labels of the test texts; baselines are exempt."""
    return run.test is not None and (is_baseline(run) or depends(run))


def depends(run: RunRecord) -> bool:
    """Whether predictions depend on labels beyond chance, at 5%: of baselines too."""
    return run.test is not None and dependence_of(run.test).learned


_KNOWN: dict[int, tuple[ref[Scores], Dependence]] = {}


def dependence_of(scores: Scores) -> Dependence:
    """What the confusion matrix says against predictions that know nothing of the labels; computed once."""
    kept = _KNOWN.get(id(scores))
    if kept is None or kept[0]() is not scores:
        key = id(scores)
        kept = ref(scores, lambda _: _KNOWN.pop(key, None)), _dependence(scores.confusion)
        _KNOWN[key] = kept
    return kept[1]


def _dependence(confusion: list[list[int]]) -> Dependence:
    """The order of the texts does not matter, so the matrix is all that the test needs."""
    table = np.array(confusion, dtype=np.int64)
    label, predicted = np.nonzero(table)
    texts = table[label, predicted]
    return dependence(np.repeat(label, texts), np.repeat(predicted, texts), len(table))


def above_majority(scores: Scores) -> bool:
    """Whether the accuracy is above the majority class share, by an exact one-sided binomial test at 5%."""
    return above_share(correct(scores), scores.texts, majority_share(scores)) < LEVEL


def comparable(results: Results) -> list[RunRecord]:
    """The fine-tuned runs that learned: those that a comparison may rest on."""
    return [run for run in results.done if learned(run) and not is_baseline(run)]


def unfinished(results: Results) -> list[RunRecord]:
    """Runs without test scores."""
    finished = {run.run_id for run in results.done}
    return [run for run in results.runs if run.run_id not in finished]


def by_model(runs: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Runs grouped by their pretrained model; those without one are left out."""
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        if run.model is not None:
            groups.setdefault(run.model, []).append(run)
    return groups


def training_seconds(run: RunRecord) -> float | None:
    """Optimisation and prefix seconds together: what training cost."""
    return run.cost.train_seconds + run.cost.prefix_seconds if run.cost else None


def training_memory(run: RunRecord) -> float | None:
    """Bytes that training needed: tensors at the peak of a training step; of a baseline, which has no steps, what its
    process needed to fit it, or the encoder's pass where that needed more. None where it was not measured."""
    cost = run.cost
    if cost is None or not is_baseline(run):
        return cost.peak_memory_bytes if cost else None
    known = [each for each in (cost.prefix_peak_memory_bytes, cost.fit_memory_bytes) if each is not None]
    return max(known, default=None)


def protocol(run: RunRecord, machine: bool = True) -> dict[str, str]:
    """What the run shares or should share with others, as text by readable name; the machine included."""
    flat = _flatten(run.protocol)
    device = flat.pop("device", None)
    named = {PROTOCOL_NAMES.get(key, key.replace("_", " ")): _plain(value) for key, value in flat.items()}
    for key, value in _flatten(run.head).items():
        named[f"head {key.replace('_', ' ')}"] = _plain(value)
    if not machine:
        return named
    known = {key: run.environment[key] for key in MACHINE_KEYS if key in run.environment}
    if device is not None:
        known.setdefault("device", device)
    return named | {key.replace("_", " "): _plain(value) for key, value in known.items()}


def differing(runs: list[RunRecord], machine: bool = True) -> dict[str, list[str]]:
    """Settings whose known values differ between fine-tuned runs: every distinct value, by readable name.

    Without `machine` it is settled whether methods can be compared: what a search chose for each of them, from one
    space and with one budget, then counts as part of the method.
    """
    searched = _searched(runs) if not machine else set()
    settings = [protocol(run, machine) for run in runs if not is_baseline(run)]
    names = dict.fromkeys(name for each in settings for name in each)
    values = {name: list(dict.fromkeys(each[name] for each in settings if name in each)) for name in names}
    return {name: found for name, found in values.items() if len(found) > 1 and name not in searched}


def _searched(runs: list[RunRecord]) -> set[str]:
    """Readable names of the settings that were searched for all of the fine-tuned runs, over the same values."""
    spaces = [run.searched.space if run.searched else {} for run in runs if not is_baseline(run)]
    shared = [key for key in (spaces[0] if spaces else {}) if all(each.get(key) == spaces[0][key] for each in spaces)]
    return {PROTOCOL_NAMES.get(key, key.replace(".", " ").replace("_", " ")) for key in shared}


def held_up(runs: Iterable[RunRecord]) -> str | None:
    """Names the runs that other work on the machine held up; None where there are none."""
    names = [run.name for run in runs if any(note.startswith(BUSY) for note in run.notes)]
    if not names:
        return None
    return f"{BUSY} while {f.listing(names, 4)} trained: the seconds and samples/s there say little."


def shared_a_device(runs: Iterable[RunRecord]) -> str | None:
    """Names the runs that shared a device with others of their study; None where none did."""
    names = [run.name for run in runs if run.cost is not None and run.cost.runs_beside]
    if not names:
        return None
    return (
        f"{BESIDE} other runs on the same device: {f.listing(names, 4)}. Seconds and samples/s there are those of a "
        "device that was shared; memory is each run's own. --workers 1 measures each run alone."
    )


def difference_sentence(runs: list[RunRecord]) -> str | None:
    """Says which settings differ between runs, or None where none does."""
    found = differing(runs)
    if not found:
        return None
    parts = [f"{name} ({', '.join(values)})" for name, values in found.items()]
    if found.keys() <= _searched(runs):
        return f"The search chose different settings for these runs: {'; '.join(parts)}."
    return f"These runs differ in more than the method: {'; '.join(parts)}."


def _flatten(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key} ")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _plain(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _mean_known(values: list[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return _mean(known) if known and len(known) == len(values) else None
