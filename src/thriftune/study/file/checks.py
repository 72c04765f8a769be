"""What does not go together in a study: settings without effect, repeats, names that match nothing.

A value that equals its default is never called without effect, so a resolved study file loads again.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from thriftune.data.settings import SPLITS
from thriftune.engine.protocol import Protocol
from thriftune.errors import did_you_mean
from thriftune.methods.base import Method, TransformerMethod
from thriftune.models.head import HeadSettings
from thriftune.results.cost import Cost
from thriftune.study.file.plan import READ_BY_EMBEDDINGS, plan, selects
from thriftune.study.file.reader import shown
from thriftune.study.file.search_checks import search_problems
from thriftune.study.file.settings import StudyProtocol, StudySettings, selected_with

Problems = Iterator[tuple[str, str]]

LONGEST_NAME = 200
NOT_ON_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])", re.IGNORECASE)
SET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
PUBLISHED_WORDS = ("device", "note")
"""What the costs were measured on, and what else a reader must know."""
PUBLISHED_KEYS = (
    *PUBLISHED_WORDS,
    "accuracy",
    "macro_f1",
    "loss",
    "errors",
    "per_class",
    *(f.name for f in fields(Cost) if f.name not in ("reasons", "memory", "prefix_reused")),
)


CLASS_SCORES = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Check:
    """Finds (key path, message) pairs; runs only where all keys that it reads are sound."""

    reads: tuple[str, ...]
    find: Callable[[StudySettings], Problems]


def _grid_or_runs(study: StudySettings) -> Problems:
    if study.runs:
        for key in ("models", "methods"):
            if getattr(study, key):
                yield key, f"has no effect beside runs; remove {key}, or runs"
    elif not study.methods:
        yield "methods", "is missing; give methods (and models), or runs"


def _models(study: StudySettings) -> Problems:
    if study.runs or not study.methods:
        return
    needing = [method.NAME for method in study.methods if method.NEEDS_MODEL]
    if needing and not study.models:
        yield "models", f"is missing; {needing[0]} needs one, for example demo:minilm"
    if study.models and not needing:
        yield "models", f"has no effect; {_without_model(study.methods)}; remove models, or add a method"


def _run_entries(study: StudySettings) -> Problems:
    for index, run in enumerate(study.runs):
        at = f"runs.{index}"
        if run.method.NEEDS_MODEL:
            if run.model is None:
                yield f"{at}.model", f"is missing; {run.method.NAME} needs one, for example demo:minilm"
            continue
        given: dict[str, Any] = {"model": run.model, "head": run.head}
        if run.protocol != study.protocol:
            given["protocol"] = run.protocol
        for key, value in given.items():
            if value is not None:
                yield f"{at}.{key}", f"has no effect; {run.method.NAME} uses no model"


def _frozen_entries(study: StudySettings) -> Problems:
    """Entries of `runs` that train no layer read little of the protocol, and no head."""
    for index, run in enumerate(study.runs):
        if not (run.method.BASELINE and run.method.NEEDS_MODEL):
            continue
        why = f"has no effect; {run.method.NAME} trains no layer"
        if run.head is not None:
            yield f"runs.{index}.head", why
        for key in _idle_keys(run.protocol, study.protocol):
            yield f"runs.{index}.protocol.{key}", why


def _idle_keys(protocol: StudyProtocol, default: StudyProtocol) -> list[str]:
    """Keys of a protocol that differ from the default and are read by training alone."""
    names = [f.name for f in fields(protocol) if f.name not in READ_BY_EMBEDDINGS]
    return [name for name in names if getattr(protocol, name) != getattr(default, name)]


def _shared_settings(study: StudySettings) -> Problems:
    """Head, protocol and seeds act on transformers alone."""
    methods = tuple(run.method for run in study.runs) or study.methods
    if not methods:
        return
    usual = StudyProtocol()
    if study.protocol.select == selected_with(study.decide_by):  # it comes with decide_by, unasked
        usual = StudyProtocol(select=study.protocol.select)
    if not any(method.NEEDS_MODEL for method in methods):
        defaults = {"protocol": usual, "head": HeadSettings(), "seeds": (0,)}
        for key, default in defaults.items():
            if getattr(study, key) != default:
                yield key, f"has no effect; {_without_model(methods)}"
    elif all(method.BASELINE for method in methods):
        names = list(dict.fromkeys(method.NAME for method in methods))
        why = f"has no effect; {' and '.join(names)} {'trains' if len(names) == 1 else 'train'} no layer"
        for key in _idle_keys(study.protocol, usual):
            yield f"protocol.{key}", why
        for key, value in (("head", HeadSettings()), ("seeds", (0,))):
            if getattr(study, key) != value:
                yield key, why
    elif study.runs:
        reading = [run for run in study.runs if not run.method.BASELINE]
        if study.seeds != (0,) and all(run.seed is not None for run in reading):
            yield "seeds", "has no effect; every run has its own seed"
        if study.head != HeadSettings() and all(run.head is not None for run in reading):
            yield "head", "has no effect; every run has its own head"


def _selection(study: StudySettings) -> Problems:
    """`select` is read where weights or a learning rate are picked by it."""
    default = selected_with(study.decide_by)
    runs = [run for run in plan(study) if run.method.NEEDS_MODEL]
    message = "has no effect with keep last and a single learning rate; remove it, or use keep best"
    if study.search is not None:
        return
    if not any(isinstance(run.method, TransformerMethod) for run in runs):
        message = "has no effect; nothing is chosen on validation"
    if study.protocol.select not in (default, Protocol().select) and runs and not any(selects(run) for run in runs):
        yield "protocol.select", message
        return
    if study.runs:
        for index, run in enumerate(study.runs):
            own = run.protocol.select not in (default, Protocol().select, study.protocol.select)
            if own and run.method.NEEDS_MODEL and not any(selects(r) for r in runs if r.cell == run.name):
                yield f"runs.{index}.protocol.select", message


def _repeats(study: StudySettings) -> Problems:
    yield from _twice("models", [os.path.normpath(model) for model in study.models])
    for key in ("methods", "seeds"):
        yield from _twice(key, getattr(study, key))
    yield from _twice("runs", [run.name for run in study.runs], ".name")
    cells = [repr((run.model, run.method, run.seed, run.head or study.head, run.protocol)) for run in study.runs]
    seen: dict[str, int] = {}
    for index, cell in enumerate(cells):
        first = seen.setdefault(cell, index)
        if first != index:
            yield f"runs.{index}", f"is the same run as runs.{first} ({study.runs[first].name})"
    names = Counter(run.name for run in plan(study))
    cell_names = {run.name for run in study.runs}
    for name, count in names.items():
        if count > 1 and name not in cell_names:
            yield "methods", f'two runs would be called "{name}"'
    if not study.seeds:
        yield "seeds", "is empty; give at least one seed"


def _names(study: StudySettings) -> Problems:
    """Names appear in tables, on terminals and in messages."""
    named = [("name", study.name), *((f"runs.{i}.name", run.name) for i, run in enumerate(study.runs))]
    for key, name in named:
        if not name.strip() or not name.isprintable():
            yield key, f"{shown(name)} is given; allowed: text on one line, without control characters"
        elif len(name) > LONGEST_NAME:
            yield key, f"has {len(name):,} characters; at most {LONGEST_NAME} fit into tables and folder names"
    models = [(f"models.{i}", name) for i, name in enumerate(study.models)]
    models += [(f"runs.{i}.model", run.model) for i, run in enumerate(study.runs) if run.model is not None]
    for key, name in models:
        if not name.strip() or not name.isprintable():
            yield key, f"{shown(name)} is given; allowed: demo:NAME, OWNER/NAME, hub:NAME or a folder"


def _text(study: StudySettings) -> Problems:
    data = study.data
    for key, columns in (("text", data.text), ("keep", data.keep)):
        yield from _twice(f"data.{key}", columns)
    for index, column in enumerate(data.text):
        if column == data.label:
            yield f"data.text.{index}", f'"{column}" is the label column; a method must not see it'
    for index, column in enumerate(data.keep):
        if column in (*data.text, data.label):
            yield f"data.keep.{index}", f'"{column}" has no effect; test.parquet holds it anyway'
    if data.group is not None and data.group == data.label:
        yield "data.group", f'"{data.group}" is the label column; texts of one label do not belong together by that'
    if data.pair == "one_segment" and len(data.text) == 1:
        yield "data.pair", "has no effect with one text column"
    if isinstance(data.source, dict):
        for split in data.source:
            if split not in SPLITS:
                yield f"data.source.{split}", f"unknown split; known: {', '.join(SPLITS)}"
        if "train" not in data.source:
            yield "data.source.train", "is missing; a source per split names at least train"


def _robustness(study: StudySettings) -> Problems:
    """Each set's name becomes a file name, beside those of the splits."""
    seen: dict[str, str] = {}
    for name in study.robustness:
        at = f"robustness.{name}"
        if not SET_NAME.fullmatch(name):
            yield at, f"{shown(name)} is given; allowed: up to 64 letters, digits, hyphens and underscores (a-z, 0-9)"
        elif NOT_ON_WINDOWS.fullmatch(name):
            yield at, "is a name that Windows gives to a device, so no file can have it: choose another"
        elif name.lower() in SPLITS:
            yield at, f"is the name of a split; splits are {', '.join(SPLITS)}: choose another name"
        elif name.lower() in seen:
            yield at, f"differs from {seen[name.lower()]} in capitals alone, which some file systems do not tell apart"
        seen.setdefault(name.lower(), name)


def _method_text(study: StudySettings) -> Problems:
    listed = [(f"methods.{i}.{m.NAME}", m) for i, m in enumerate(study.methods)]
    listed += [(f"runs.{i}.method.{run.method.NAME}", run.method) for i, run in enumerate(study.runs)]
    for at, method in listed:
        seen = method.text or ()
        for index, column in enumerate(seen):
            if column in seen[:index]:
                yield f"{at}.text.{index}", f"{shown(column)} stands twice"
            elif column not in study.data.text:
                close = did_you_mean(column, study.data.text)
                known = ", ".join(study.data.text)
                yield f"{at}.text.{index}", f'"{column}" is no text column of the study{close or ";"} known: {known}'
        if method.text == ():
            yield f"{at}.text", "is empty; name a text column, or leave text out"


def _published(study: StudySettings) -> Problems:
    names = {name: None for run in plan(study) for name in (run.cell, run.name)}
    for name, numbers in study.published.items():
        if name not in names:
            known = ", ".join(names)
            yield f"published.{name}", f"matches no run{did_you_mean(name, names) or ';'} known: {known}"
        for key, value in numbers.items():
            at = f"published.{name}.{key}"
            if key not in PUBLISHED_KEYS:
                close = did_you_mean(key, PUBLISHED_KEYS)
                yield at, f"unknown key{close or ';'} known: {', '.join(PUBLISHED_KEYS)}"
            elif key == "per_class":
                yield from _published_classes(at, value)
            elif key in PUBLISHED_WORDS:
                if not isinstance(value, str):
                    yield at, f"{shown(value)} is given; allowed: text"
            elif value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                yield at, f"{shown(value)} is given; allowed: a number"
            elif value is not None and value < 0:
                yield at, f"{value} is given, it must be at least 0"
            elif value is not None and key in ("accuracy", "macro_f1") and value > 1:
                yield at, f"{value} is given, it must be a fraction, at most 1"


def _published_classes(at: str, value: Any) -> Problems:
    """Scores by label: {entailment: {f1: 0.86}}."""
    if not isinstance(value, dict) or not all(isinstance(scores, dict) for scores in value.values()):
        yield at, f"{shown(value)} is given; allowed: a mapping of labels to scores, as in {{entailment: {{f1: 0.86}}}}"
        return
    for label, scores in value.items():
        for name, number in scores.items():
            if name not in CLASS_SCORES:
                yield f"{at}.{label}.{name}", f"unknown score; known: {', '.join(CLASS_SCORES)}"
            elif isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 1:
                yield f"{at}.{label}.{name}", f"{shown(number)} is given; allowed: a fraction from 0 to 1"


CHECKS = (
    Check(("runs", "models", "methods"), _grid_or_runs),
    Check(("runs", "models", "methods"), _models),
    Check(("runs", "protocol"), _run_entries),
    Check(("runs", "protocol"), _frozen_entries),
    Check(("runs", "methods", "protocol", "head", "seeds", "decide_by"), _shared_settings),
    Check(("runs", "methods", "models", "protocol", "seeds", "search", "decide_by"), _selection),
    Check(("runs", "methods", "models", "seeds", "head", "search"), _repeats),
    Check(("name", "models", "runs"), _names),
    Check(("data",), _text),
    Check(("robustness",), _robustness),
    Check(("data", "methods", "runs"), _method_text),
    Check(("published", "runs", "methods", "models", "seeds", "search"), _published),
    Check(("search", "runs", "methods", "models", "protocol", "seeds"), search_problems),
)


def _without_model(methods: Iterable[Method]) -> str:
    names = list(dict.fromkeys(method.NAME for method in methods))
    return f"{', '.join(names)} {'uses' if len(names) == 1 else 'use'} no model"


def _twice(key: str, values: Iterable[Any], suffix: str = "") -> Problems:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(repr(value), index)
        if first != index:
            yield f"{key}.{index}{suffix}", f"stands twice, first as {key}.{first}{suffix}"
