"""What compare says of its length when it begins."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.study.small_study import small_study

from thriftune.cost.predicted import speeds
from thriftune.cost.predicted.machine import Machine
from thriftune.study.events import Notice
from thriftune.study.execute import compare
from thriftune.study.forecast.outlook import MOST_RUNS, outlook_of


def job(name: str, seconds: float | None, epochs: Any = 3, baseline: bool = False) -> Any:
    method, protocol = SimpleNamespace(BASELINE=baseline), SimpleNamespace(epochs=epochs)
    planned = SimpleNamespace(name=name, method=method, protocol=protocol)
    return SimpleNamespace(model=Path(), planned=planned, seconds=seconds)


def outlook(*jobs: Any) -> str | None:
    return outlook_of(jobs, SimpleNamespace(seconds=lambda job: job.seconds))  # type: ignore[arg-type]


def test_the_sum_and_the_longest() -> None:
    assert outlook(job("full", 90.0)) == "Expected: about 2 min of training on this machine."
    found = outlook(job("lora", 20.0, "auto"), job("full", 90.0, "auto"), job("embeddings", None, baseline=True))
    assert found == (
        "Expected: about 2 min of training on this machine, 2 min of it full; validation decides when a training ends, "
        "so it may be half or twice that."
    )


def test_nothing_is_said_where_it_is_not_known_of_all() -> None:
    assert outlook(job("full", 90.0), job("lora", None)) is None
    assert outlook(*[job("full", 1.0)] * (MOST_RUNS + 1)) is None
    assert outlook(job("embeddings", None, baseline=True)) is None
    assert outlook() is None


def test_a_study_says_it_once_its_machine_was_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "known_machine", lambda *_, **__: Machine({}, {}, 0.0, 1e-9, 0.0, 1.0))
    heard: list[Any] = []
    compare(small_study(tmp_path, methods=["head_only"]), tmp_path / "out", heard.append, isolate=False)
    texts = [event.text for event in heard if isinstance(event, Notice)]
    assert texts[0] == "Expected: about 10 s of training on this machine.", "a second a step, five steps, two epochs"
    assert texts[1].startswith("Output of the frozen layers: 19.2 kB on disk in ")
