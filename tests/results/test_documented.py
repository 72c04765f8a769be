"""docs/results-format.md names every key of every record, and none that there is not."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from thriftune.analysis.panels import GROUPS, group
from thriftune.results.cost import Cost
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.models.refitted import Refitted
from thriftune.results.prediction import AxisPoint, Crossovers, Prediction
from thriftune.results.profile import DataProfile, Lengths, RobustnessProfile
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.scores import Evaluated, FurtherTest, Scores
from thriftune.results.search import CellSearch, Searched, StudySearch, Trial
from thriftune.results.training import Training
from thriftune.use.models.best import Best

PAGE = (Path(__file__).parents[2] / "docs" / "results-format.md").read_text(encoding="utf-8")
SECTIONS = {
    "## run.json": RunRecord,
    "### Scores": Scores,
    "### Training": Training,
    "### Searched": Searched,
    "### Cost": Cost,
    "### Predicted": Prediction,
    "### `kind: step`": StepPoint,
    "### `kind: epoch`": EpochPoint,
    "## best/best.json": Best,
    "## refit/NAME/refit.json": Refitted,
    "## search.json": StudySearch,
    "### Each of `cells`": CellSearch,
    "### Each of `trials`": Trial,
    "## crossovers.json": Crossovers,
    "## evaluations/NAME.json": FurtherTest,
    "### Each of `runs`": Evaluated,
    "### Each of `points`": AxisPoint,
    "## results.json": StudyResults,
    "### Profile": DataProfile,
    "### Lengths": Lengths,
    "### Robustness": RobustnessProfile,
}
ELSEWHERE = {"test": "metrics.test", "validation": "metrics.validation", "robustness.*": "metrics.robustness.*"}
"""Where run.json has a run's scores."""
LEFT_OUT = {"reasons", "statistics"}
"""On disk each of them is a key of its own."""


def rows(heading: str) -> list[list[str]]:
    """The keys in the first column of a section's table, by row."""
    (section,) = re.findall(rf"^{re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`[^|]*) \|", section, flags=re.MULTILINE)
    return [re.findall(r"`([^`]+)`", cell) for cell in cells]


def documented(heading: str) -> set[str]:
    return {re.sub(r"\b[A-Z]+\b", "*", key) for row in rows(heading) for key in row}


def keys(kind: type[Any]) -> Iterator[str]:
    """The keys of a record on disk; of a record in it too, unless that has a section of its own. `*` is any name."""
    hints = typing.get_type_hints(kind)
    for each in fields(kind):
        inner, name = hints[each.name], each.name
        while not is_dataclass(inner) and typing.get_args(inner):
            name += ".*" if typing.get_origin(inner) is dict and is_dataclass(typing.get_args(inner)[1]) else ""
            inner = next((a for a in typing.get_args(inner) if is_dataclass(a) or typing.get_args(a)), None)
        if each.name in LEFT_OUT:
            continue
        if is_dataclass(inner) and inner not in SECTIONS.values():
            yield from (f"{name}.{key}" for key in keys(inner))  # type: ignore[arg-type]
        else:
            yield name


@pytest.mark.parametrize("heading", SECTIONS)
def test_every_key_is_documented_and_every_documented_key_is_there(heading: str) -> None:
    kind = SECTIONS[heading]
    found = {ELSEWHERE.get(key, key) if kind is RunRecord else key for key in keys(kind)}
    panels = {name for part in GROUPS for name in group(part).PANELS}
    assert found - documented(heading) == set(), "not documented"
    assert documented(heading) - found - (panels if kind is StudyResults else set()) == set(), "not there"


def test_documented_statistics_are_those_of_panels() -> None:
    names = {key.split(".")[0] for row in rows("### Statistics") for key in row} - {"example"}
    assert names <= {name for part in GROUPS for name in group(part).PANELS} | {"training"}
    assert len(names) > 10
