"""Events as JSON lines: every event, every key, as docs/events.md has them."""

from __future__ import annotations

import json
import re
import typing
from dataclasses import fields
from pathlib import Path

import pytest
from tests.test_progress import record

from thriftune.results.search import CellSearch, Trial
from thriftune.study.events import (
    Event,
    Expected,
    Notice,
    RunFinished,
    RunLooked,
    RunProgress,
    RunStarted,
    SearchFinished,
    SearchProgress,
    Stage,
    StudyPlanned,
)
from thriftune.study.lines import NAMES, SCHEMA_VERSION, JsonLines

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text(encoding="utf-8")
TRIALS = [Trial(1, 0, {"rank": 4}, "complete", 0.5, None, 1.0, 3, 0.0, 2.0, 1.0)]
EVENTS: list[Event] = [
    StudyPlanned(["a", "b"], ["b"], ["few rows"]),
    Stage("reading", 1, None),
    Expected({"m": 3.0}, 1, 2, None),
    Notice("a sentence"),
    RunStarted("a", 1, 2),
    RunProgress("a", "training", loss=float("nan"), step=3),
    RunLooked("a", 1.0, 12, 0.5, None, None, None, 1e-3),
    RunFinished("a", record("a"), False),
    RunFinished("b", record("b", "out_of_memory"), True),
    SearchProgress("a", 1, 3, "accuracy", None),
    SearchFinished(CellSearch("a", "m", {"name": "lora"}, "k", {}, "accuracy", TRIALS), False),
]


def written(event: Event) -> dict[str, typing.Any]:
    lines: list[str] = []
    JsonLines(lines.append)(event)
    assert len(lines) == 1
    assert "\n" not in lines[0]
    found: dict[str, typing.Any] = json.loads(lines[0], parse_constant=pytest.fail)
    return found


def test_every_event_has_a_name() -> None:
    assert set(NAMES) == set(typing.get_args(Event)) == {type(event) for event in EVENTS}


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_a_line_with_the_keys_of_the_page(event: Event) -> None:
    found = written(event)
    assert found["event"] == NAMES[type(event)]
    assert found["schema_version"] == SCHEMA_VERSION
    part = re.search(rf"^## `{found['event']}`\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert part is not None
    keys = set(re.findall(r"^\| `(\w+)`", part[1], re.MULTILINE))
    assert keys == set(found) - {"event", "schema_version", "time"}


def test_a_search_that_ended_says_what_it_chose() -> None:
    found = written(EVENTS[-1])
    assert (found["best"], found["chosen"], found["trials"], found["seconds"]) == (0.5, {"rank": 4}, 1, 3.0)


def test_what_is_no_number_is_null() -> None:
    assert written(EVENTS[5])["loss"] is None


def test_a_run_that_ended_says_how() -> None:
    good, bad = written(EVENTS[7]), written(EVENTS[8])
    assert (good["status"], good["reused"]) == ("done", False)
    assert good["accuracy"] == record("a").test.accuracy  # type: ignore[union-attr]
    assert (bad["status"], bad["accuracy"], bad["message"]) == ("out_of_memory", None, "ran out of memory")


def test_fields_that_are_added_to_events_reach_the_lines() -> None:
    for event in EVENTS:
        if not isinstance(event, RunFinished | SearchFinished):
            assert {field.name for field in fields(event)} <= set(written(event))
