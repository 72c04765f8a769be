"""What the benchmarks share: rows of several machines lie side by side."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import compare


def test_a_row_takes_the_place_of_its_own_processors_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "RESULTS", tmp_path)

    def measured(processor: str, method: str, speed: float) -> list[dict[str, Any]]:
        monkeypatch.setattr(compare, "machine", lambda: {"processor": processor})
        path = compare.merge("speed", {"texts": 8}, [{"method": method, "speed": speed}], ("method",))
        return list(json.loads(path.read_text())["rows"])

    measured("one", "lora", 2.0)
    measured("one", "full", 1.0)
    measured("other", "lora", 4.0)
    rows = measured("one", "lora", 3.0)
    found = {(row["machine"]["processor"], row["method"]): row["speed"] for row in rows}
    assert found == {("one", "lora"): 3.0, ("one", "full"): 1.0, ("other", "lora"): 4.0}
    assert all(row["settings"] == {"texts": 8} for row in rows)


def test_a_machine_says_what_a_result_belongs_to() -> None:
    here = compare.machine()
    assert {"date", "processor", "processors", "vectors", "torch", "transformers", "peft", "commit"} <= set(here)
