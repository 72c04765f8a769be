"""Vega-Lite specifications for the few chart forms that the panels use.

User text is only ever a value in the data, a scale's domain or a title: never a field name or an expression.
Names starting with `ink` are parameters that the report's theme defines.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

Row = dict[str, Any]
Spec = dict[str, Any]

PALETTE_SIZE = 8
"""Colours in the theme's palette; more series than that repeat them with another shape and dash."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])

BYTE_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
TIME_UNITS = ((3600.0, "hours"), (60.0, "minutes"))


def tip(field: str, title: str, format: str | None = None) -> Row:
    """One line of a tooltip; without a format the value is shown as it is."""
    kind = "nominal" if format is None else "quantitative"
    return {"field": field, "type": kind, "title": title} | ({"format": format} if format else {})


def short(value: float) -> float:
    """The number with six significant digits, which is more than a chart shows."""
    return float(f"{value:.6g}")


def byte_unit(values: Iterable[float]) -> tuple[float, str]:
    """What to divide bytes by for an axis, and the unit's name."""
    return _unit(values, BYTE_UNITS, "bytes")


def time_unit(values: Iterable[float]) -> tuple[float, str]:
    """What to divide seconds by for an axis, and the unit's name."""
    return _unit(values, TIME_UNITS, "seconds")


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
    marks: Spec | None = None,
) -> Spec:
    """Horizontal bars of `x` by `name`, in `order`; `series` names the groups within a name.

    `marks` is a further layer over the same rows (a tick at a reference value).
    """
    groups = len(series) if series and not stacked else 1
    y = {"field": "name", "type": "nominal", "sort": order, "title": None}
    encoding: Spec = {"x": _amount(x, x_title, share=share), "tooltip": tooltip}
    if series:
        encoding["color"] = colour(series)
        if stacked:
            encoding["order"] = {"field": "series_order", "type": "quantitative"}
        else:
            y_offset = {"field": "series", "type": "nominal", "sort": series}
            encoding |= {"x": encoding["x"] | {"stack": None}, "yOffset": y_offset}
    height = len(order) * (24 if groups == 1 else groups * 13 + 8)
    bar = {"mark": {"type": "bar"}, "encoding": encoding}
    if marks is None:
        return base(rows, height) | bar | {"encoding": {"y": y} | encoding}
    return base(rows, height) | {"encoding": {"y": y}, "layer": [bar, marks]}


def tick(field: str, x_title: str) -> Spec:
    """A layer for `bars`: a tick at another value of the same rows."""
    return {
        "mark": {"type": "tick", "thickness": 2, "size": 18, "color": {"expr": "ink"}, "tooltip": None},
        "encoding": {"x": {"field": field, "type": "quantitative", "title": x_title}},
    }


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
    y: Spec = {"y": {"field": "name", "type": "nominal", "sort": order, "title": None}}
    if series:
        y["yOffset"] = {"field": "series", "type": "nominal", "sort": series}
    hue: Spec = {"color": colour(series)} if series else {}
    x: Spec = {"type": "quantitative", "title": x_title, "scale": {"zero": False}, "axis": {"tickCount": 6}}
    layers: list[Spec] = [
        {
            "mark": {"type": "rule", "color": {"expr": "ink"}},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}},
        },
        {
            "mark": {"type": "bar", "size": step - 4},
            "encoding": {"x": x | {"field": "q1"}, "x2": {"field": "q3"}} | hue,
        },
        {
            "mark": {"type": "tick", "thickness": 2, "size": step - 2, "color": {"expr": "ink"}},
            "encoding": {"x": x | {"field": "median"}},
        },
    ]
    for layer in layers:
        layer["encoding"]["tooltip"] = tooltip
    if outliers:
        layers.append(
            {
                "data": {"values": outliers},
                "mark": {"type": "point", "size": 8, "opacity": 0.5},
                "encoding": {"x": x | {"field": "value"}, "tooltip": [tip("value", x_title, ",")]},
            }
        )
    height = len(order) * (len(series) * step + 8 if series else 30)
    return base(rows, height) | {"encoding": y, "layer": layers}


def histogram(rows: list[Row], *, x_title: str, tooltip: list[Row]) -> Spec:
    """Bars from `start` to `end` with height `count`."""
    return base(rows, 160) | {
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {
            "x": {
                "field": "start",
                "type": "quantitative",
                "title": x_title,
                "bin": {"binned": True},
                "axis": {"tickCount": 6, "format": ",~f"},
            },
            "x2": {"field": "end"},
            "y": {
                "field": "count",
                "type": "quantitative",
                "title": "texts",
                "axis": {"tickCount": 4, "format": "~s"},
            },
            "tooltip": tooltip,
        },
    }


def lines(
    rows: list[Row],
    *,
    x_title: str,
    y_title: str,
    series: list[str],
    tooltip: list[Row],
    share: bool = False,
    points: bool = True,
    faint: list[Row] | None = None,
    height: int = 220,
) -> Spec:
    """Lines of `y` over `x` by `series`; `faint` is a thin line of `x` and `y` behind them."""
    y: Spec = {"field": "y", "type": "quantitative", "title": y_title, "scale": {"zero": False}}
    y["axis"] = {"format": ".0%"} if share else {"tickCount": 5, "format": "~g"}
    x = {"field": "x", "type": "quantitative", "title": x_title, "axis": _whole(rows)}
    encoding: Spec = {"x": x, "y": y, "tooltip": tooltip}
    dash: Spec = {}
    shape: Spec = {}
    if len(series) > PALETTE_SIZE:
        dash = {"strokeDash": _repeated(series, list(DASHES))}
        shape = {"shape": _repeated(series, list(SHAPES))}
    layers: list[Spec] = []
    if faint:
        layers.append(
            {
                "data": {"values": faint},
                "mark": {"type": "line", "strokeWidth": 1, "opacity": 0.45, "color": {"expr": "ink"}},
                "encoding": {"x": x, "y": y},
            }
        )
    hue = {"color": colour(series)}
    layers.append({"mark": {"type": "line"}, "encoding": encoding | hue | dash})
    if points:
        layers.append({"mark": {"type": "point", "filled": True, "size": 40}, "encoding": encoding | hue | shape})
    return base(rows, height) | {"layer": layers}


def log_lines(
    rows: list[Row], *, x_title: str, y_title: str, series: list[str], tooltip: list[Row], height: int = 260
) -> Spec:
    """Lines with points of `y` over `x` by `series`, both on log scales."""

    def axis(field: str, title: str) -> Spec:
        axis = {"format": "~s", "values": _tens(row[field] for row in rows)}
        return {"field": field, "type": "quantitative", "title": title, "scale": {"type": "log"}, "axis": axis}

    encoding: Spec = {"x": axis("x", x_title), "y": axis("y", y_title), "tooltip": tooltip, "color": colour(series)}
    shape = {"shape": _repeated(series, list(SHAPES), every=1)}
    return base(rows, height) | {
        "layer": [
            {"mark": {"type": "line"}, "encoding": encoding},
            {"mark": {"type": "point", "size": 50}, "encoding": encoding | shape},
        ]
    }


def dots(
    rows: list[Row],
    *,
    x_title: str,
    order: list[str],
    series: list[str],
    tooltip: list[Row],
    log: bool = False,
) -> Spec:
    """Points of `value` by `name`, with a colour and shape for each series; a log scale on request."""
    scale = {"type": "log", "nice": True} if log else {"zero": False}
    axis = {"format": "~s", "values": _tens(row["value"] for row in rows)} if log else {"tickCount": 6}
    encoding = {
        "x": {"field": "value", "type": "quantitative", "title": x_title, "scale": scale, "axis": axis},
        "color": colour(series),
        "shape": _repeated(series, list(SHAPES), every=1),
        "tooltip": tooltip,
    }
    return base(rows, len(order) * 24) | {
        "mark": {"type": "point", "size": 80, "strokeWidth": 2.5, "opacity": 1},
        "encoding": {"y": {"field": "name", "type": "nominal", "sort": order, "title": None, "axis": {"grid": True}}}
        | encoding,
    }


def points(
    rows: list[Row],
    *,
    x_title: str,
    y_title: str,
    series: list[str],
    tooltip: list[Row],
    share: bool = False,
    height: int = 220,
) -> Spec:
    """Points of `y` over `x`, with a colour and shape for each series and the `name` beside each point."""
    axis = {"format": ".0%", "tickCount": 5} if share else {"tickCount": 5, "format": "~g"}
    scale = {"zero": False, "padding": 12}
    encoding = {
        "x": {"field": "x", "type": "quantitative", "title": x_title, "scale": scale, "axis": {"tickCount": 5}},
        "y": {"field": "y", "type": "quantitative", "title": y_title, "scale": scale, "axis": axis},
    }
    point = {
        "mark": {"type": "point", "size": 80, "strokeWidth": 2.5, "opacity": 1},
        "encoding": {
            "color": colour(series),
            "shape": _repeated(series, list(SHAPES), every=1),
            "tooltip": tooltip,
        },
    }
    label = {
        "mark": {"type": "text", "dy": -10, "fontSize": 10, "limit": 110, "color": {"expr": "ink"}, "tooltip": None},
        "encoding": {"text": {"field": "name", "type": "nominal"}},
    }
    return base(rows, height) | {"encoding": encoding, "layer": [point, label]}


def intervals(
    rows: list[Row], *, x_title: str, order: list[str], series: list[str], limit: float, tooltip: list[Row]
) -> Spec:
    """Points of `value` with lines from `low` to `high` by `name`; dashed lines stand at 0 and at ± the limit."""
    x = {"type": "quantitative", "title": x_title, "axis": {"tickCount": 6}}
    lines = {"values": [{"at": at} for at in sorted({-limit, 0.0, limit})]}
    layers: list[Spec] = [
        {
            "data": lines,
            "mark": {"type": "rule", "strokeDash": [4, 4], "opacity": 0.6, "color": {"expr": "ink"}, "tooltip": None},
            "encoding": {"x": x | {"field": "at"}},
        },
        {
            "mark": {"type": "rule", "strokeWidth": 2},
            "encoding": {"x": x | {"field": "low"}, "x2": {"field": "high"}, "color": colour(series)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {
                "x": x | {"field": "value"},
                "color": colour(series),
                "shape": _repeated(series, list(SHAPES), every=1),
                "tooltip": tooltip,
            },
        },
    ]
    y = {"field": "name", "type": "nominal", "sort": order, "title": None}
    for layer in layers[1:]:
        layer["encoding"]["y"] = y
    return base(rows, max(60, len(order) * 24)) | {"layer": layers}


def heatmap(rows: list[Row], *, labels: list[str], tooltip: list[Row]) -> Spec:
    """A confusion matrix: `count` written in cells coloured by `share`, rows `true`, columns `predicted`."""
    cell = min(48, max(12, 300 // max(1, len(labels))))
    level = len(labels) <= 4 and max(map(len, labels), default=0) <= 14
    x_axis = {"labelAngle": 0 if level else -40, "labelLimit": 110, "orient": "bottom", "grid": False}
    x_axis["labelOverlap"] = len(labels) > 12
    layers: list[Spec] = [
        {
            "mark": {"type": "rect"},
            "encoding": {
                "color": {
                    "field": "share",
                    "type": "quantitative",
                    "scale": {"domain": [0, 1]},
                    "legend": None,
                },
                "tooltip": tooltip,
            },
        }
    ]
    if len(labels) <= 12:
        layers.append(
            {
                "mark": {"type": "text", "fontSize": 12 if len(labels) <= 6 else 9, "tooltip": None},
                "encoding": {
                    "text": {"field": "count", "type": "quantitative", "format": ",d"},
                    "color": {
                        "condition": {"test": "datum.share > 0.5", "value": {"expr": "ink_on_high"}},
                        "value": {"expr": "ink_on_low"},
                    },
                },
            }
        )
    encoding = {
        "x": {"field": "predicted", "type": "nominal", "sort": labels, "title": "predicted", "axis": x_axis},
        "y": {"field": "true", "type": "nominal", "sort": labels, "title": "true", "axis": {"grid": False}},
    }
    return base(rows, cell * len(labels)) | {"encoding": encoding, "layer": layers}


def density(rows: list[Row], *, x_title: str, y_title: str, tooltip: list[Row]) -> Spec:
    """Cells from `x` to `x2` and from `y` to `y2`, coloured by the logarithm of `count`."""
    binned = {"type": "quantitative", "bin": {"binned": True}, "axis": {"tickCount": 5, "format": "~g"}}
    scale = {"type": "log", "domainMin": 1}
    return base(rows, 220) | {
        "mark": {"type": "rect"},
        "encoding": {
            "x": binned | {"field": "x", "title": x_title},
            "x2": {"field": "x2"},
            "y": binned | {"field": "y", "title": y_title},
            "y2": {"field": "y2"},
            "color": {"field": "count", "type": "quantitative", "scale": scale, "title": "texts"},
            "tooltip": tooltip,
        },
    }


def colour(series: list[str]) -> Spec:
    """The colour channel by `series`, stable across charts that name the same series."""
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": series},
        "sort": series,
        "title": None,
        "legend": {"symbolLimit": 60},
    }


def _amount(field: str, title: str, *, share: bool) -> Spec:
    axis = {"format": ".0%", "tickCount": 5} if share else {"tickCount": 5, "format": "~s"}
    return {"field": field, "type": "quantitative", "title": title, "axis": axis}


def _whole(rows: list[Row]) -> Spec:
    """Ticks on whole numbers, at most a dozen: there is no epoch 1.5 to read off."""
    high = math.ceil(max(row["x"] for row in rows))
    low = math.floor(min(row["x"] for row in rows))
    step = max(1, math.ceil((high - low) / 12))
    return {"values": list(range(low, high + 1, step)), "format": "d"}


def _tens(values: Iterable[float]) -> list[float]:
    """The powers of ten around the values."""
    logs = [math.log10(value) for value in values]
    return [10.0**n for n in range(math.floor(min(logs)), math.ceil(max(logs)) + 1)]


def _repeated(series: list[str], values: list[Any], every: int = PALETTE_SIZE) -> Spec:
    values_by_series = [values[(i // every) % len(values)] for i in range(len(series))]
    return {
        "field": "series",
        "type": "nominal",
        "scale": {"domain": series, "range": values_by_series},
        "sort": series,
        "title": None,
    }


def base(rows: list[Row], height: int) -> Spec:
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "data": {"values": rows},
    }


def _unit(values: Iterable[float], units: Iterable[tuple[float, str]], base: str) -> tuple[float, str]:
    largest = max(values, default=0)
    return next(((divisor, name) for divisor, name in units if largest >= divisor), (1.0, base))
