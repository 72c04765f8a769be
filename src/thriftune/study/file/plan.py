"""From a study to its runs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from thriftune.engine.protocol import Protocol, deciding
from thriftune.methods.base import Method, TransformerMethod
from thriftune.methods.embeddings import Embeddings
from thriftune.models.head import HeadSettings
from thriftune.settings import SettingsError
from thriftune.study.file.search_settings import SearchSettings
from thriftune.study.file.search_space import extremes, space_of, with_values
from thriftune.study.file.settings import RunSettings, StudyProtocol, StudySettings

READ_BY_EMBEDDINGS = ("max_tokens", "padding", "precision", "select", "device")
"""What of the protocol frozen embeddings depend on: nothing of how others are trained."""


@dataclass(frozen=True)
class PlannedRun:
    """One model to train and test."""

    name: str
    """Unique within the study, for people."""
    cell: str
    """The name without the seed: runs of one cell differ by seed alone."""
    model: str | None
    """None for methods without a transformer."""
    method: Method
    head: HeadSettings
    seed: int
    protocol: Protocol


def plan(study: StudySettings) -> list[PlannedRun]:
    """All runs in the order in which they execute: baselines, then model by model, method by method.

    Baselines are deterministic and run once (for each model, where they need one), with the first seed.
    """
    if study.runs:
        return [planned for run in study.runs for planned in _listed(run, study)]
    labels = _labels(study.methods, study.search)
    short = _short_names(study.models)
    cells: list[tuple[str, str | None, Method]] = [
        (label, None, method) for label, method in zip(labels, study.methods, strict=True) if not method.NEEDS_MODEL
    ]
    for model in study.models:
        prefix = f"{short[model]} " if len(study.models) > 1 else ""
        cells += [
            (prefix + label, model, method)
            for label, method in zip(labels, study.methods, strict=True)
            if method.NEEDS_MODEL
        ]
    return [
        PlannedRun(_seeded(name, seed, seeds), name, model, method, _head(method, study.head), seed, protocol)
        for cell, model, method in cells
        for name, protocol in _sized(cell, study.protocol, method)
        for seeds in [_seeds(method, study.seeds)]
        for seed in seeds
    ]


def selects(run: PlannedRun) -> bool:
    """Whether weights, a learning rate or a regression's settings are picked on validation."""
    if isinstance(run.method, Embeddings):
        return run.method.chooses
    search = isinstance(run.method, TransformerMethod) and (len(run.method.learning_rates) > 1 or run.method.probes)
    return run.protocol.keep == "best" or search


def needs_validation(runs: Iterable[PlannedRun], search: SearchSettings | None = None) -> bool:
    """Whether a run cannot do without a validation split: it picks or is searched by it, stops early by it or lowers
    its learning rate by it. Baselines can."""
    return any(
        space_of(run.method, search)
        or selects(run)
        or run.protocol.epochs == "auto"
        or run.protocol.early_stopping is not None
        or run.protocol.schedule.type == "plateau"
        for run in runs
        if isinstance(run.method, TransformerMethod)
    )


def run_id(
    planned: PlannedRun,
    study: StudySettings,
    fingerprint: str,
    weights_hash: str | None,
    engine_version: str,
    device_type: str,
) -> str:
    """16 hexadecimal digits that stand for everything that a run's results depend on.

    `fingerprint` is the dataset's (rows, labels and splits), `weights_hash` the pretrained model's (None for
    baselines), `device_type` cpu or cuda. Names, the margin and published numbers change nothing.
    """
    parts: dict[str, Any] = {
        "engine": engine_version,
        "data": fingerprint,
        "text": study.data.text,
        "method": planned.method.flat(),
        "seed": planned.seed,
    }
    if planned.method.NEEDS_MODEL:
        protocol = deciding(planned.protocol)
        if planned.method.BASELINE:
            protocol = {key: protocol[key] for key in READ_BY_EMBEDDINGS}
        protocol["device"] = device_type
        if protocol.get("prefix") == "fp32":  # as before there was a choice
            del protocol["prefix"]
        parts |= {
            "model": planned.model,
            "weights": weights_hash,
            "pair": study.data.pair,
            "head": asdict(planned.head),
            "protocol": protocol,
        }
    canonical = json.dumps(parts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _listed(run: RunSettings, study: StudySettings) -> list[PlannedRun]:
    seeds = (run.seed,) if run.seed is not None else _seeds(run.method, study.seeds)
    head = _head(run.method, run.head or study.head)
    return [
        PlannedRun(_seeded(name, seed, seeds), name, run.model, run.method, head, seed, protocol)
        for name, protocol in _sized(run.name, run.protocol, run.method)
        for seed in seeds
    ]


def _sized(cell: str, protocol: StudyProtocol, method: Method) -> list[tuple[str, Protocol]]:
    """A cell's name and protocol for every batch size; a baseline has no batches."""
    found = protocol.single()[:1] if method.BASELINE else protocol.single()
    return [(f"{cell} batch {each.batch_size}" if len(found) > 1 else cell, each) for each in found]


def _seeds(method: Method, seeds: tuple[int, ...]) -> tuple[int, ...]:
    return seeds[:1] if method.BASELINE else seeds


def _head(method: Method, head: HeadSettings) -> HeadSettings:
    """The head that the run loads its model with: frozen embeddings read what one reads, whatever others train."""
    return method.head if isinstance(method, Embeddings) else head


def _seeded(cell: str, seed: int, seeds: tuple[int, ...]) -> str:
    return f"{cell} seed {seed}" if len(seeds) > 1 else cell


def _short_names(models: tuple[str, ...]) -> dict[str, str]:
    """The last part of each model's name, or the whole where two would be equal."""
    short = {model: model.rstrip("/").rsplit("/", 1)[-1].rsplit(":", 1)[-1] for model in models}
    counts = Counter(short.values())
    return {model: name if counts[name] == 1 else model for model, name in short.items()}


def _labels(methods: tuple[Method, ...], search: SearchSettings | None) -> list[str]:
    """Each method's label; where labels are equal, followed by the settings that differ."""
    labels = [_label(method, search) for method in methods]
    groups: dict[str, list[Method]] = {}
    for label, method in zip(labels, methods, strict=True):
        groups.setdefault(label, []).append(method)
    return [
        label + _difference(method, groups[label], list(space_of(method, search)))
        for label, method in zip(labels, methods, strict=True)
    ]


def _label(method: Method, search: SearchSettings | None) -> str:
    """The method's label, without settings that are searched: they are not known before."""
    for values in extremes(space_of(method, search)):
        with suppress(SettingsError):  # reported by the study's checks
            if with_values(method, Protocol(), values)[0].label != method.label:
                return f"{method.short_name()} searched"
    return method.label


def _difference(method: Method, group: list[Method], searched: list[str]) -> str:
    flats = [other.flat() for other in group]
    keys = [key for key in dict.fromkeys(key for flat in flats for key in flat) if key not in searched]
    differing = [key for key in keys if any(flat.get(key) != flats[0].get(key) for flat in flats)]
    own = method.flat()
    seen = own["text"]
    only = f" {_words(seen)} only" if "text" in differing and seen is not None else ""
    return only + "".join(f" {key.replace('_', ' ')} {_words(own.get(key))}" for key in differing if key != "text")


def _words(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "+".join(_words(item) for item in value)
    if isinstance(value, float):
        return f"{value:g}"
    return "default" if value is None else str(value)
