"""Drawing in a process of its own: its death, its errors and its silence cost one chart."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from thriftune.analysis.display.panel import Chart
from thriftune.report import render
from thriftune.report.painter import NotDrawnError, Painter

BAR: dict[str, Any] = {
    "data": {"values": [{"a": 1, "b": "x"}]},
    "mark": "bar",
    "encoding": {"x": {"field": "a", "type": "quantitative"}, "y": {"field": "b", "type": "nominal"}},
}
ODD = """
import json, os, sys, time
def answer(spec):
    if spec == "die": os.abort()
    if spec == "half": os.write(1, b'{"svg": "<sv'); os._exit(0)
    if spec == "sleep": time.sleep(60)
    if spec == "refuse": return {"error": "no such mark"}
    return {"svg": f"<svg>{spec} {os.getpid()}</svg>"}
for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
"""


@pytest.fixture
def odd() -> Iterator[Painter]:
    """A painter whose process does what it is told."""
    with Painter(seconds=0.5, first_seconds=30, program=f"exec({ODD!r})") as painter:
        yield painter


def drawn(painter: Painter, what: Any) -> str:
    return painter.svg(what)


@pytest.mark.parametrize(
    ("what", "why"),
    [("die", "broke off (exit code"), ("half", "broke off (exit code 0)"), ("refuse", "no such mark")],
)
def test_a_chart_that_fails_costs_itself_alone(odd: Painter, what: str, why: str) -> None:
    assert drawn(odd, "first").startswith("<svg>first")
    with pytest.raises(NotDrawnError) as error:
        drawn(odd, what)
    assert why in str(error.value)
    assert drawn(odd, "next").startswith("<svg>next")


def test_a_chart_that_takes_too_long(odd: Painter) -> None:
    before = drawn(odd, "first")
    with pytest.raises(NotDrawnError, match="longer than"):
        drawn(odd, "sleep")
    assert drawn(odd, "first") != before, "by another process"


def test_the_real_library_draws_and_says_what_is_wrong() -> None:
    with Painter() as painter:
        assert painter.svg(BAR).startswith("<svg")
        with pytest.raises(NotDrawnError, match="conversion failed"):
            painter.svg({"mark": "nonsense"})
        process = painter._process
    assert process.poll() is not None, "gone with the painter"


def test_figures_that_cannot_be_drawn_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(render, "figure", lambda spec: spec)
    monkeypatch.setattr(render, "Painter", lambda: Painter(program=f"exec({ODD!r})"))
    (tmp_path / "bad.svg").write_text("of an earlier report", encoding="utf-8")
    charts: list[Any] = [Chart(name, name, name, spec) for name, spec in (("good", "x"), ("bad", "die"), ("last", "y"))]  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        render.write_figures(tmp_path, charts)
    assert sorted(os.listdir(tmp_path)) == ["good.svg", "last.svg"]
    (message,) = caplog.messages
    assert f"{tmp_path / 'bad.svg'} was not drawn: the process that draws broke off" in message
