"""When a run says that the machine was busy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.synthetic import VARIANTS, write

from thriftune.analysis.display.panel import Panel
from thriftune.analysis.panels.answers.summary import _notes as notes
from thriftune.analysis.panels.cost.compute import build
from thriftune.cost.measured import busy
from thriftune.cost.measured.busy import busy_notes, with_load
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    return write(tmp_path_factory.mktemp("busy"), VARIANTS["plain"]).load().runs[0]


def cost(run: RunRecord, used: float | None, waited: float | None, seconds: float = 10.0) -> Cost:
    assert run.cost is not None
    return replace(run.cost, train_seconds=seconds, train_cpu_seconds=used, train_waited_seconds=waited)


@pytest.mark.parametrize(
    ("used", "waited", "seconds", "load", "told"),
    [
        (19.0, 0.1, 10.0, 9.0, False),  # both processors, all the time
        (10.0, 8.0, 10.0, 0.0, True),  # half of what two threads could have, and they waited
        (8.0, 0.2, 10.0, 9.0, False),  # a small model that leaves processors idle
        (8.0, None, 10.0, 1000.0, True),
        (8.0, None, 10.0, 0.0, False),
        (0.5, 0.4, 0.6, 9.0, False),  # too short to tell
        (None, None, 10.0, 1000.0, False),
    ],
)
def test_a_busy_machine(
    run: RunRecord,
    monkeypatch: pytest.MonkeyPatch,
    used: float | None,
    waited: float | None,
    seconds: float,
    load: float,
    told: bool,
) -> None:
    monkeypatch.setattr(busy, "load_average", lambda: load)
    found = busy_notes(cost(run, used, waited, seconds), threads=2)
    assert bool(found) == told
    if told and used == 10.0:
        assert "got 1.0 processors for 2 threads" in found[0]


def test_the_load_is_recorded_and_survives_the_disk(run: RunRecord) -> None:
    found = with_load(replace(run, cost=cost(run, 10.0, 8.0)), 2.5)
    assert found.cost is not None
    assert found.cost.load_at_start == 2.5
    assert RunRecord.from_json(found.to_json()) == found
    unknown = with_load(run, None).to_json()["cost"]
    assert unknown["load_at_start"] is None
    assert unknown["load_at_start_reason"]


def test_page_and_terminal_name_the_runs_that_were_held_up(tmp_path: Path) -> None:
    results = write(tmp_path, VARIANTS["plain"]).load()
    first = results.runs[0]
    slow = replace(first, cost=cost(first, 10.0, 8.0), notes=busy_notes(cost(first, 10.0, 8.0), 2))
    results.study.runs[0] = slow
    panel = build(results)
    assert isinstance(panel, Panel)
    sentence = f"The machine was busy while {first.name} trained"
    assert any(note.startswith(sentence) for note in panel.notes)
    assert any(note.startswith(sentence) for note in notes(results))
    (column,) = [column for column in panel.tables[0].columns if column.label == "Processors used"]
    assert panel.tables[0].rows[0][column.name] == 1.0
