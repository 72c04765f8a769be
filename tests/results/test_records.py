"""Records survive the disk, with whatever a newer release put beside them, and refuse what is of another shape."""

from __future__ import annotations

import copy
import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.results.examples import CROSSOVERS, FURTHER, HISTORY, LENGTHS, PREDICTION, RUN, SEARCH, STUDY

import thriftune.results
from thriftune.errors import InputError
from thriftune.results.files import DamagedError, read_record, write_json
from thriftune.results.plain import record_from, values_of, without_reasons
from thriftune.results.prediction import Crossovers, Forecast, Prediction
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.run_folder import Embeddings, RunFolder
from thriftune.results.scores import FurtherTest
from thriftune.results.search import StudySearch
from thriftune.results.store import Store

EXAMPLES: dict[type[Any], tuple[Any, Any]] = {
    RunRecord: (RUN, RUN.to_json()),
    StudyResults: (STUDY, STUDY.to_json()),
    StudySearch: (SEARCH, values_of(SEARCH)),
    Crossovers: (CROSSOVERS, values_of(CROSSOVERS)),
    Prediction: (PREDICTION, values_of(PREDICTION)),
    FurtherTest: (FURTHER, values_of(FURTHER)),
}
RECORDS = pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
ON_DISK = [RunRecord, StudyResults, StudySearch, Crossovers]
PLACES = {
    RunRecord: [
        "",
        "metrics",
        "metrics.test",
        "metrics.test.per_class.ham",
        "metrics.robustness.hard",
        "cost",
        "cost.memory",
        "cost.step_seconds",
        "cost.pass_seconds",
        "predicted",
        "predicted.memory",
        "search.0",
        "training",
        "searched",
    ],
    StudyResults: [
        "",
        "profile",
        "profile.characters.text",
        "profile.characters.text.histogram",
        "profile.characters.text.box",
        "profile.tokens.0",
        "profile.dropped.0",
        "profile.shared.0",
        "profile.warnings.0",
        "robustness.hard",
        "robustness.hard.dropped.0",
        "runs.0",
        "runs.0.cost",
    ],
    StudySearch: ["", "cells.0", "cells.0.trials.0"],
    Crossovers: ["", "axes.tokens", "axes.tokens.points.0"],
    Prediction: ["", "memory"],
    FurtherTest: ["", "runs.0"],
}
"""Every mapping that stands for a record, where a newer release may put further keys."""


def read(kind: type[Any], data: dict[str, Any]) -> Any:
    if kind is Prediction:
        return record_from(kind, without_reasons(data))
    return kind.from_json(data) if hasattr(kind, "from_json") else record_from(kind, data)


def inner(data: Any, place: str) -> Any:
    for step in filter(None, place.split(".")):
        data = data[int(step)] if isinstance(data, list) else data[step]
    return data


def records(value: Any) -> Iterator[type[Any]]:
    """The types of a record and of those in it."""
    if is_dataclass(value):
        yield type(value)
        value = list(vars(value).values())
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from records(each)


def test_every_record_type_has_an_example() -> None:
    modules = [
        importlib.import_module(f"thriftune.results.{m.name}") for m in pkgutil.iter_modules(thriftune.results.__path__)
    ]
    types = {each for m in modules for each in vars(m).values() if is_dataclass(each) and each.__module__ == m.__name__}
    found = {each for example, _ in EXAMPLES.values() for each in records(example)} | {
        *records(HISTORY),
        *records(LENGTHS),
    }
    bases = {base for each in found for base in each.__mro__}
    assert types - bases == {Forecast, Embeddings}


@RECORDS
def test_round_trips(kind: type[Any]) -> None:
    example, data = EXAMPLES[kind]
    assert read(kind, json.loads(json.dumps(data, allow_nan=False))) == example


@pytest.mark.parametrize(("kind", "place"), [(kind, place) for kind, places in PLACES.items() for place in places])
@pytest.mark.parametrize("value", [3, "x", None, [1], 0.5])
def test_keys_of_a_newer_release_are_ignored(kind: type[Any], place: str, value: Any) -> None:
    example, data = EXAMPLES[kind]
    data = copy.deepcopy(data)
    inner(data, place)["a_new_key"] = value
    assert read(kind, data) == example


@pytest.mark.parametrize(("kind", "place"), [(kind, place) for kind, places in PLACES.items() for place in places])
def test_values_of_other_types_are_refused(kind: type[Any], place: str) -> None:
    _, data = EXAMPLES[kind]
    found = inner(data, place).items()
    numbers = {key: value for key, value in found if isinstance(value, int | float) and not isinstance(value, bool)}
    for key, value in numbers.items():
        for wrong in ("many", [value], float("inf"), {}):
            changed = copy.deepcopy(data)
            inner(changed, place)[key] = wrong
            with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
                read(kind, changed)


@pytest.mark.parametrize("kind", ON_DISK, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("version", [1, 2, 10**9])
def test_a_newer_format_is_refused(tmp_path: Path, kind: type[Any], version: int) -> None:
    example, data = EXAMPLES[kind]
    path = tmp_path / "file.json"
    write_json(path, {**data, "schema_version": version})
    if version == 1:
        assert read_record(path, partial(read, kind)) == example
        return
    with pytest.raises(InputError, match=f"schema_version {version}") as found:
        read_record(path, partial(read, kind))
    assert not isinstance(found.value, DamagedError), "what a newer release wrote is no damage, and is not written anew"
    assert str(path) in str(found.value)


@pytest.mark.parametrize("kind", ON_DISK, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize(
    "foreign",
    [
        {},
        {"name": "left-pad", "version": "1.3.0"},
        {"runs": [1], "cells": [1], "axes": [1], "metrics": 1},
        {"runs": {}},
    ],
)
def test_what_others_wrote_is_refused(tmp_path: Path, kind: type[Any], foreign: Any) -> None:
    path = tmp_path / "package.json"
    write_json(path, foreign)
    with pytest.raises(DamagedError, match="does not hold what this release writes there") as found:
        read_record(path, partial(read, kind))
    assert str(path) in str(found.value)


def test_results_of_earlier_releases() -> None:
    data = RUN.to_json()
    for key in ("predicted", "training", "baseline", "searched", "files", "robustness_fingerprints"):
        del data[key]
    del data["metrics"]["robustness"]
    for key in ("step_seconds", "pass_seconds", "layers", "train_cpu_seconds"):
        del data["cost"][key]
    found = RunRecord.from_json(data)
    assert (found.predicted, found.training, found.baseline, found.robustness) == (None, None, False, {})
    assert RunRecord.from_json({**data, "model": None}).baseline


def test_a_panel_may_not_take_the_name_of_a_field() -> None:
    with pytest.raises(ValueError, match="margin"):
        StudyResults(**{**vars(STUDY), "statistics": {"margin": {}}}).to_json()


def test_history_round_trips_and_ignores_what_is_new(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.read_history() == ([], [])
    folder.write_history(HISTORY)
    assert folder.read_history() == (HISTORY[:1], HISTORY[1:])
    lines = [{**json.loads(line), "new": 1} for line in folder.history_path.read_text().splitlines()]
    lines.append({"kind": "new", "what": 3})
    folder.history_path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert folder.read_history() == (HISTORY[:1], HISTORY[1:])


def test_nothing_is_where_nothing_was_written(tmp_path: Path) -> None:
    folder, store = RunFolder(tmp_path), Store(tmp_path)
    assert folder.read_embeddings() is None
    assert folder.read_dynamics() is None
    assert store.read_search() is None
    with pytest.raises(InputError, match=r"holds no results\.json"):
        store.load()
