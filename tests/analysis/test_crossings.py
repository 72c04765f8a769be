"""Where predicted lines cross: against lines whose crossing is known by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import vl_convert

from thriftune.analysis.findings import crossings
from thriftune.report.theme import figure
from thriftune.results.prediction import AxisPoint

XS = (64, 256, 1024, 4096, 16384)


def points(**lines: Callable[[float], float]) -> list[AxisPoint]:
    return [
        AxisPoint("tokens", name, x, f"{x} tokens", round(line(x)), 1e9 * (1 + index))
        for index, (name, line) in enumerate(lines.items())
        for x in XS
    ]


def test_power_laws_cross_where_algebra_says() -> None:
    """1e6 x and 2e7 x^0.5 are straight on log scales: equal at x = 400."""
    found = crossings.crossings(points(lora=lambda x: 1e6 * x, top=lambda x: 2e7 * math.sqrt(x)), "peak_memory_bytes")
    assert [(each.first, each.second) for each in found] == [("lora", "top")]
    assert found[0].x == pytest.approx(400, rel=1e-3)


def test_lines_of_a_fixed_part_and_a_slope_cross_between_the_right_places() -> None:
    """90 MB + 50 kB a token against 15 MB + 60 kB a token never do; against 15 MB + 100 kB at 1,500 tokens."""
    lines = {"lora": lambda x: 90e6 + 50e3 * x, "top": lambda x: 15e6 + 100e3 * x}
    (found,) = crossings.crossings(points(**lines), "peak_memory_bytes")
    assert (found.first, found.second) == ("top", "lora")
    assert found.x == pytest.approx(1500, rel=0.1)


def test_equal_lines_and_touching_ones_do_not_cross() -> None:
    lines = {"a": lambda x: 1e6 * x, "b": lambda x: 1e6 * x * (1.004 if x > 1000 else 0.996)}
    assert crossings.crossings(points(**lines), "peak_memory_bytes") == []


def test_a_method_without_points_at_some_places_is_compared_where_it_has_them() -> None:
    some = points(a=lambda x: 1e6 * x, b=lambda x: 2e9)
    kept = [point for point in some if point.method == "a" or point.x > 300]
    (found,) = crossings.crossings(kept, "peak_memory_bytes")
    assert found.x == pytest.approx(2000, rel=0.01)


def test_time_is_in_seconds_where_all_are_known() -> None:
    lines = {"a": lambda x: 1e6 * x, "b": lambda x: 2e9}
    some = [replace(point, seconds_per_sample=0.001 if point.method == "a" else 0.002) for point in points(**lines)]
    panel = crossings.build("tokens", some)
    assert "training time per text on this machine" in panel.tables[1].caption
    assert panel.tables[1].rows[0]["m1"] == 0.002
    some[0] = replace(some[0], seconds_per_sample=None)
    assert "GFLOP" in crossings.build("tokens", some).tables[1].caption


@pytest.mark.parametrize("axis", list(crossings.AXES))
def test_words_tables_and_charts(axis: str) -> None:
    panel = crossings.build(axis, points(lora=lambda x: 1e6 * x, top=lambda x: 2e7 * math.sqrt(x)))
    assert panel.sentences[0].startswith("Below about 400 ")
    assert "lora needs less memory than top; above, top does." in panel.sentences[0]
    assert "The order of the methods in time is the same from 64 to 16.4k" in panel.sentences[1]
    assert [row["place"] for row in panel.tables[0].rows] == [f"{x} tokens" for x in XS]
    assert panel.tables[1].rows[0]["m1"] == 2.0
    assert "predicted" in panel.notes[0]
    for chart in panel.charts:
        assert vl_convert.vegalite_to_svg(figure(chart.spec)).startswith("<svg")
