"""Small studies with a search, as its tests take them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.study.small_study import small_study

from thriftune.results.search import CellSearch, Trial
from thriftune.results.store import Results
from thriftune.study import execute
from thriftune.study.events import Event, SearchProgress
from thriftune.study.file.config import Study

RATES = {"learning_rate": [1e-4, 0.1, "log"]}
OVER: dict[str, Any] = {**RATES, "epochs": [1, 3], "rank": [2, 8]}
METHODS: list[Any] = ["majority", "head_only", {"lora": {"layers": "top 1"}}]


def study_of(folder: Path, over: dict[str, Any] | None = None, trials: int = 4, **changes: Any) -> Study:
    settings = {"trials": trials, "over": over or OVER} | changes.pop("search", {})
    return small_study(folder, **{"methods": METHODS, "search": settings} | changes)


def compare(study: Study, out: Path, listener: Callable[[Event], None] | None = None, **names: Any) -> Results:
    return execute.compare(study, out, listener, isolate=False, **names)


def cells(results: Results) -> list[CellSearch]:
    assert results.search is not None
    return results.search.cells


def untimed(trials: list[Trial]) -> list[dict[str, Any]]:
    return [{key: value for key, value in asdict(trial).items() if "seconds" not in key} for trial in trials]


def made(events: list[Event]) -> list[tuple[str, int]]:
    """Which trials were begun."""
    return list(dict.fromkeys((e.name, e.trial) for e in events if isinstance(e, SearchProgress)))


def stop_at(trial: int) -> Callable[[Event], None]:
    def listener(event: Event) -> None:
        if isinstance(event, SearchProgress) and event.trial == trial:
            raise KeyboardInterrupt

    return listener


def ignore(event: object) -> None:
    """Hears nothing."""
