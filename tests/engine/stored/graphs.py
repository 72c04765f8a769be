"""Graphs made in the test's own process by torch's older exporter, which takes a tenth of the time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from thriftune.engine.stored.onnx import crossover, graph, kept, make


class Maker:
    """Stands in for the process that makes graphs, and counts."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, job: dict[str, Any]) -> str | None:
        self.made += 1
        return make.write(Path(job["folder"]), Path(job["graph"]))


def quick_graphs(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Maker:
    """The maker of graphs that are kept in a folder of the test."""
    made = Maker()
    monkeypatch.setenv("THRIFTUNE_CACHE", str(cache))
    monkeypatch.setattr(graph, "_traced", graph._scripted)
    monkeypatch.setattr(kept, "_in_a_process", made)
    return made


def faster_up_to(monkeypatch: pytest.MonkeyPatch, texts: int, tokens: int) -> None:
    """onnxruntime is the faster one for so many texts or tokens, whatever it takes here."""

    def times(own: Any, other: Any, tried: Any) -> tuple[float, float]:
        few = len(tried) <= texts and (len(tried) > 1 or len(tried.ids) <= tokens)
        return (2.0, 1.0) if few else (1.0, 2.0)

    monkeypatch.setattr(crossover, "least_seconds", times)
