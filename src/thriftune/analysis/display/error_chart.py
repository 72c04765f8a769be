"""Vega-Lite specifications of the chart forms that only the panels on errors use."""

from __future__ import annotations

from typing import Any

from thriftune.analysis.display.chart import Row, Spec, base, colour


def intervals(rows: list[Row], *, x_title: str, reference: float, tooltip: list[Row], share: bool = False) -> Spec:
    """Points of `value` from `low` to `high` by `name`, in the rows' order, with a line at the reference."""
    axis: dict[str, Any] = {"tickCount": 6} | ({"format": ".0%"} if share else {})
    x = {"type": "quantitative", "title": x_title, "axis": axis}
    order = [row["name"] for row in rows]
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": {"expr": "ink"}, "tooltip": None},
            "encoding": {
                "x": {"datum": reference, "type": "quantitative"},
                "y": {"value": 0},
                "y2": {"value": "height"},
            },
        },
        {
            "mark": {"type": "rule", "strokeWidth": 2, "color": {"expr": "ink"}},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": x | {"field": "value"}},
        },
    ]
    for layer in layers[1:]:
        layer["encoding"] |= {
            "y": {"field": "name", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 230}}
        }
        layer["encoding"]["tooltip"] = tooltip
    return base(rows, 20 * len(rows)) | {"layer": layers}


def reliability(rows: list[Row], *, series: list[str], tooltip: list[Row]) -> Spec:
    """Accuracy `y` over confidence `x`, both from 0 to 1, by `series`, with the diagonal of perfect calibration."""
    scale = {"domain": [0, 1]}
    axis = {"format": ".0%", "tickCount": 5}
    encoding = {
        "x": {"field": "x", "type": "quantitative", "title": "confidence", "scale": scale, "axis": axis},
        "y": {"field": "y", "type": "quantitative", "title": "accuracy", "scale": scale, "axis": axis},
    }
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "strokeDash": [4, 3], "strokeWidth": 1, "color": {"expr": "ink"}},
        "encoding": encoding,
    }
    hue = {"color": colour(series)}
    line = {"mark": {"type": "line"}, "encoding": encoding | hue}
    points = {"mark": {"type": "point", "filled": True, "size": 40}, "encoding": encoding | hue | {"tooltip": tooltip}}
    return base(rows, 300) | {"layer": [diagonal, line, points]}


def scatter(rows: list[Row], *, series: list[str], tooltip: list[Row]) -> Spec:
    """Points at `x` and `y`, which have no unit, by `series`, the first of which stays in the background."""
    axis = {"labels": False, "ticks": False, "grid": False, "domain": False}
    place = {"type": "quantitative", "title": None, "axis": axis, "scale": {"zero": False}}
    encoding = {"x": place | {"field": "x"}, "y": place | {"field": "y"}, "color": colour(series), "tooltip": tooltip}
    faint = {"condition": {"test": f"datum.series === '{series[0]}'", "value": 0.3}, "value": 0.85}
    mark = {"type": "point", "filled": True, "size": 26}
    return base(rows, 420) | {"mark": mark, "encoding": encoding | {"opacity": faint}}
