"""A study's events as JSON lines: `thriftune compare --json`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from typing import Any

from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch
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

SCHEMA_VERSION = 1
"""Raised when a key is taken away or means something else; keys and events are added without."""
NAMES: dict[type, str] = {
    StudyPlanned: "study_planned",
    Stage: "stage",
    Expected: "expected",
    Notice: "notice",
    RunStarted: "run_started",
    RunProgress: "run_progress",
    RunLooked: "run_looked",
    RunFinished: "run_finished",
    SearchProgress: "search_progress",
    SearchFinished: "search_finished",
}
FINISHED, ERROR = "finished", "error"
"""The last line: the study has ended, or could not be made."""


class JsonLines:
    """Writes one JSON object in a line for each event, without waiting for the next."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write

    def __call__(self, event: Event) -> None:
        """Writes an event of a study."""
        self.write(NAMES[type(event)], _event(event))

    def write(self, name: str, values: dict[str, Any]) -> None:
        """Writes an event of some name; numbers that are not finite become null."""
        head = {"event": name, "schema_version": SCHEMA_VERSION, "time": datetime.now(UTC).isoformat()}
        self._write(json.dumps(_plain(head | values), ensure_ascii=False, allow_nan=False))


def _event(event: Event) -> dict[str, Any]:
    match event:
        case RunFinished(name, record, reused):
            return {"name": name, "reused": reused, **of_record(record)}
        case SearchFinished(search, reused):
            return {"reused": reused, **_of_search(search)}
    return {field.name: getattr(event, field.name) for field in fields(event)}


def of_record(record: RunRecord) -> dict[str, Any]:
    """What of a run's record is said when it ends; all of it is in its run.json."""
    test, cost = record.test, record.cost
    return {
        "run_id": record.run_id,
        "status": record.status,
        "message": record.message,
        "accuracy": None if test is None else test.accuracy,
        "macro_f1": None if test is None else test.macro_f1,
        "learning_rate": record.learning_rate,
        "train_seconds": None if cost is None else cost.train_seconds,
        "peak_memory_bytes": None if cost is None else cost.peak_memory_bytes,
        "stored_bytes": None if cost is None else cost.stored_bytes,
        "notes": list(record.notes),
    }


def _of_search(search: CellSearch) -> dict[str, Any]:
    best = search.best
    return {
        "name": search.cell,
        "trials": len(search.trials),
        "best": None if best is None else best.score,
        "chosen": None if best is None else best.params,
        "seconds": search.seconds,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    return value
