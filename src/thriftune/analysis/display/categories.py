"""Vega-Lite specifications of charts with one row for each name: bars, boxes, points and intervals, and a matrix."""

from __future__ import annotations

import math
from collections.abc import Iterable

from thriftune.analysis.display.chart import Row, Spec, base, by_name, colour, quantity, shapes, tips

INK = {"color": {"expr": "ink"}}


def bars(
    rows: list[Row],
    *,
    x: str,
    x_title: str,
    order: list[str],
    tooltip: list[Row],
    series: list[str] | None = None,
    stacked: bool = False,
    share: bool = False,
) -> Spec:
    """Horizontal bars of `x` by `name`, in `order`; `series` names the groups within a name."""
    groups = len(series) if series and not stacked else 1
    axis = {"tickCount": 5, "format": ".0%" if share else "~s"}
    encoding: Spec = {"y": by_name(order), "x": quantity(x, x_title, axis=axis), "tooltip": tooltip}
    if series:
        encoding["color"] = colour(series)
        if stacked:
            encoding["order"] = quantity("series_order")
        else:
            encoding["x"]["stack"] = None
            encoding["yOffset"] = {"field": "series", "type": "nominal", "sort": series}
    height = len(order) * (24 if groups == 1 else groups * 13 + 8)
    return base(rows, height) | {"mark": {"type": "bar"}, "encoding": encoding}


def boxes(
    rows: list[Row],
    *,
    x_title: str,
    order: list[str],
    tooltip: list[Row],
    series: list[str] | None = None,
    outliers: list[Row] | None = None,
) -> Spec:
    """Box plots from the numbers low, q1, median, q3, high; `outliers` are rows of `name` and `value`."""
    step = 13 if series else 22
    y: Spec = {"y": by_name(order)}
    if series:
        y["yOffset"] = {"field": "series", "type": "nominal", "sort": series}
    hue: Spec = {"color": colour(series)} if series else {}

    def x(field: str) -> Spec:
        return quantity(field, x_title, scale={"zero": False}, axis={"tickCount": 6})

    layers: list[Spec] = [
        {"mark": {"type": "rule"} | INK, "encoding": {"x": x("low"), "x2": {"field": "high"}}},
        {"mark": {"type": "bar", "size": step - 4}, "encoding": {"x": x("q1"), "x2": {"field": "q3"}} | hue},
        {"mark": {"type": "tick", "thickness": 2, "size": step - 2} | INK, "encoding": {"x": x("median")}},
    ]
    for layer in layers:
        layer["encoding"]["tooltip"] = tooltip
    if outliers:
        points = {"mark": {"type": "point", "size": 8, "opacity": 0.5}, "data": {"values": outliers}}
        layers.append(points | {"encoding": {"x": x("value"), "tooltip": tips(value=(x_title, ","))}})
    height = len(order) * (len(series) * step + 8 if series else 30)
    return base(rows, height) | {"encoding": y, "layer": layers}


def dots(
    rows: list[Row],
    *,
    x_title: str,
    order: list[str],
    series: list[str],
    tooltip: list[Row],
    log: bool = False,
    axis: Spec | None = None,
) -> Spec:
    """Points of `value` by `name`, with a colour and shape for each series; a log scale on request."""
    scale = {"type": "log", "nice": True} if log else {"zero": False}
    if axis is None:
        axis = {"format": "~s", "values": tens(row["value"] for row in rows)} if log else {"tickCount": 6}
    return base(rows, len(order) * 24) | {
        "mark": {"type": "point", "size": 80, "strokeWidth": 2.5, "opacity": 1},
        "encoding": {
            "y": by_name(order, axis={"grid": True}),
            "x": quantity("value", x_title, scale=scale, axis=axis),
            "color": colour(series),
            "shape": shapes(series),
            "tooltip": tooltip,
        },
    }


def tens(values: Iterable[float]) -> list[float]:
    """The powers of ten around the values."""
    logs = [math.log10(value) for value in values]
    return [10.0**n for n in range(math.floor(min(logs)), math.ceil(max(logs)) + 1)]


def differences(
    rows: list[Row], *, x_title: str, order: list[str], series: list[str], limit: float, tooltip: list[Row]
) -> Spec:
    """Points of `value` with lines from `low` to `high` by `name`; dashed lines stand at 0 and at ± the limit."""

    def x(field: str) -> Spec:
        return quantity(field, x_title, axis={"tickCount": 6})

    y, hue = by_name(order), colour(series)
    layers: list[Spec] = [
        {
            "data": {"values": [{"at": at} for at in sorted({-limit, 0.0, limit})]},
            "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": 0.6, "tooltip": None} | INK,
            "encoding": {"x": x("at")},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": x("low"), "x2": {"field": "high"}, "color": hue, "y": y},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": x("value"), "color": hue, "shape": shapes(series), "tooltip": tooltip, "y": y},
        },
    ]
    return base(rows, max(60, len(order) * 24)) | {"layer": layers}


def intervals(rows: list[Row], *, x_title: str, reference: float, tooltip: list[Row], share: bool = False) -> Spec:
    """Points of `value` from `low` to `high` by `name`, in the rows' order, with a line at the reference."""
    axis = {"tickCount": 6} | ({"format": ".0%"} if share else {})
    y = by_name([row["name"] for row in rows], axis={"labelLimit": 230})

    def x(field: str) -> Spec:
        return quantity(field, x_title, axis=axis)

    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "strokeDash": [4, 3], "tooltip": None} | INK,
            "encoding": {
                "x": {"datum": reference, "type": "quantitative"},
                "y": {"value": 0},
                "y2": {"value": "height"},
            },
        },
        {
            "mark": {"type": "rule", "strokeWidth": 2} | INK,
            "encoding": {"x": x("low"), "x2": {"field": "high"}, "y": y, "tooltip": tooltip},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": x("value"), "y": y, "tooltip": tooltip},
        },
    ]
    return base(rows, 20 * len(rows)) | {"layer": layers}


def heatmap(rows: list[Row], *, labels: list[str], tooltip: list[Row]) -> Spec:
    """A confusion matrix: `count` written in cells coloured by `share`, rows `true`, columns `predicted`."""
    cell = min(48, max(12, 300 // max(1, len(labels))))
    level = len(labels) <= 4 and max(map(len, labels), default=0) <= 14
    x_axis = {"labelAngle": 0 if level else -40, "labelLimit": 110, "orient": "bottom", "grid": False}
    x_axis["labelOverlap"] = len(labels) > 12
    hue = quantity("share", scale={"domain": [0, 1], "interpolate": "rgb"}, legend=None)
    layers: list[Spec] = [{"mark": {"type": "rect"}, "encoding": {"color": hue, "tooltip": tooltip}}]
    if len(labels) <= 12:
        on_high = {"test": "datum.share > ink_turn", "value": {"expr": "ink_on_high"}}
        ink = {"condition": on_high, "value": {"expr": "ink_on_low"}}
        mark = {"type": "text", "fontSize": 12 if len(labels) <= 6 else 9, "tooltip": None}
        layers.append({"mark": mark, "encoding": {"text": quantity("count", format=",d"), "color": ink}})
    encoding = {
        "x": {"field": "predicted", "type": "nominal", "sort": labels, "title": "predicted", "axis": x_axis},
        "y": {"field": "true", "type": "nominal", "sort": labels, "title": "true", "axis": {"grid": False}},
    }
    return base(rows, cell * len(labels)) | {"encoding": encoding, "layer": layers}
