"""Runs that break off and go on from their checkpoints: records, models and predictions as if they had not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.study.small_study import small_study

from thriftune.engine.resume import folder, saver
from thriftune.errors import InputError
from thriftune.results.record import RunRecord
from thriftune.results.store import Results
from thriftune.study.events import Event, Notice
from thriftune.study.execute import compare
from thriftune.study.file.config import Study

PROTOCOL = {"epochs": 2, "batch_size": 16, "max_tokens": 24, "device": "cpu", "checkpoint_every": "0.0001s"}
AUTO = {**PROTOCOL, "epochs": "auto", "budget": {"min_steps": 9, "patience": 1, "max_epochs": 3}}
RATES = {"lora": {"rank": 2, "learning_rate": [1e-2, 1e30, 3e-3]}}
STUDIES: dict[str, dict[str, Any]] = {
    "fixed": {"methods": ["tfidf", {"top_layers": {"layers": 1}}], "protocol": PROTOCOL},
    "auto": {"methods": [{"full": {"learning_rate": 0.003, "head_start": "solved"}}], "protocol": AUTO},
    "a list of rates": {"methods": [RATES], "protocol": {**PROTOCOL, "epochs": 1}},
    "rates that are probed": {"methods": [{"head_only": {"learning_rate": "auto"}}], "protocol": AUTO},
}

MORE = ("fixed", "rates that are probed")


@pytest.fixture
def broken_off(monkeypatch: pytest.MonkeyPatch) -> Callable[[set[int]], None]:
    """Ends this process's work after some steps, counted over all calls, as a kill does."""
    monkeypatch.setattr(saver, "RAREST", 0)
    monkeypatch.setattr(folder, "flush", lambda path: None)
    counted: Iterator[int] = iter(range(1, 1_000_000))

    def after(steps: set[int]) -> None:
        def look() -> bool:
            if next(counted) in steps:
                raise KeyboardInterrupt
            return False

        monkeypatch.setattr("thriftune.engine.loop.asked_to_end", look)

    return after


def until_complete(study: Study, out: Path, listen: Callable[[Event], None] | None = None) -> tuple[Results, int]:
    """The study's results, and how often it was interrupted before they were there."""
    for interrupts in range(100):
        try:
            return compare(study, out, listen, isolate=False), interrupts
        except KeyboardInterrupt:
            (left,) = [path for path in (out / "runs").iterdir() if not (path / "run.json").exists()] or [None]
            assert left is None or {path.name for path in left.iterdir()} == {"checkpoint", "log.txt"}
    raise AssertionError("it never ends")


def untimed(record: RunRecord) -> list[Any]:
    """What of a record does not depend on the clock."""
    training = record.training
    assert training is not None
    plain = replace(training, resumed=0, uncounted_seconds=0.0, checkpoint_seconds=0.0)
    search = [replace(point, train_seconds=0.0) for point in record.search]
    cost = record.cost
    assert cost is not None
    memory = [cost.peak_memory_bytes, cost.memory, cost.stored_bytes]
    notes = [note for note in record.notes if "went on from a checkpoint" not in note and "was busy" not in note]
    return [record.run_id, record.test, record.validation, record.best_epoch, plain, search, memory, notes]


@pytest.mark.parametrize("name", [pytest.param(each, marks=[pytest.mark.slow] * (each in MORE)) for each in STUDIES])
def test_what_is_left_is_what_an_uninterrupted_study_leaves(
    name: str, tmp_path: Path, broken_off: Callable[[set[int]], None]
) -> None:
    whole = compare(small_study(tmp_path, **STUDIES[name]), tmp_path / "whole", isolate=False)
    broken_off({4, 8})
    events: list[Event] = []
    results, interrupts = until_complete(small_study(tmp_path, **STUDIES[name]), tmp_path / "out", events.append)
    assert interrupts >= 2
    assert not [event.text for event in events if isinstance(event, Notice) and "checkpoint" in event.text.lower()]
    assert [run.status for run in results.runs] == [run.status for run in whole.runs]
    for one, other in zip(whole.done, results.done, strict=True):
        if one.baseline:
            assert one.test == other.test
            continue
        assert untimed(one) == untimed(other)
        assert other.training is not None
        assert other.cost is not None
        assert one.cost is not None
        assert other.training.resumed == interrupts
        assert other.training.uncounted_seconds > 0
        assert other.training.checkpoint_seconds > 0
        assert any(f"went on from a checkpoint {interrupts} times" in note for note in other.notes)
        first, second = (results_.store.run(one.run_id) for results_ in (whole, results))
        assert {path.name for path in second.path.iterdir()} == {path.name for path in first.path.iterdir()}
        kinds = (first.model_path.glob("*.safetensors"), first.path.glob("predictions/*"), [first.dynamics_path])
        for path in (each for kind in kinds for each in kind):
            assert path.read_bytes() == (second.path / path.relative_to(first.path)).read_bytes(), path.name
        assert [len(part) for part in first.read_history()] == [len(part) for part in second.read_history()]


def test_it_changes_no_run_and_can_be_switched_off(
    tmp_path: Path, broken_off: Callable[[set[int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    methods = [{"lora": {"rank": 2}}]
    off = small_study(tmp_path, methods=methods, protocol={**PROTOCOL, "checkpoint_every": "off"})
    broken_off({5})
    with pytest.raises(KeyboardInterrupt):
        compare(off, tmp_path / "out", isolate=False)
    assert not list((tmp_path / "out" / "runs").iterdir())
    (run,) = compare(off, tmp_path / "out", isolate=False).runs
    assert "checkpoint_every" not in run.protocol
    monkeypatch.setattr("thriftune.study.execute.execute", None)
    usual = {key: value for key, value in PROTOCOL.items() if key != "checkpoint_every"}
    (same,) = compare(small_study(tmp_path, methods=methods, protocol=usual), tmp_path / "out", isolate=False).runs
    assert same.run_id == run.run_id
    record = json.loads((tmp_path / "out" / "results.json").read_text())
    assert "checkpoint_every" not in record["runs"][0]["protocol"]


@pytest.mark.parametrize("every", ["soon", "0s", 60, "-5s", True])
def test_a_time_that_is_none_is_refused(every: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"protocol\.checkpoint_every"):
        small_study(tmp_path, protocol={**PROTOCOL, "checkpoint_every": every})
