"""Vega-Lite specifications of charts over two numbers: lines, points, cells and histograms."""

from __future__ import annotations

import math
from typing import Any

from thriftune.analysis.display.categories import INK, tens
from thriftune.analysis.display.chart import PALETTE_SIZE, SHAPES, Row, Spec, base, colour, quantity, repeated, shapes

DIRECT = 6
"""Lines that are named beside their ends, without a legend."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 2, 2, 2])


def histogram(rows: list[Row], *, x_title: str, tooltip: list[Row]) -> Spec:
    """Bars from `start` to `end` with height `count`."""
    start = quantity("start", x_title, bin={"binned": True}, axis={"tickCount": 6, "format": ",~f"})
    count = quantity("count", "texts", axis={"tickCount": 4, "format": "~s"})
    return base(rows, 160) | {
        "mark": {"type": "bar", "binSpacing": 1},
        "encoding": {"x": start, "x2": {"field": "end"}, "y": count, "tooltip": tooltip},
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
    x_axis: Spec | None = None,
    y_axis: Spec | None = None,
) -> Spec:
    """Lines of `y` over `x` by `series`; `faint` is a thin line of `x` and `y` behind them."""
    usual = {"format": ".0%"} if share else {"tickCount": 5, "format": "~g"}
    x, y = quantity("x", x_title, axis=x_axis or _whole(rows)), quantity("y", y_title, axis=y_axis or usual)
    y["scale"] = {"zero": False}
    hue = colour(series)
    direct = len(series) <= DIRECT
    if direct:
        hue["legend"] = None
        x["scale"] = {"range": [0, {"expr": f"max(60, width - {_width(series)})"}]}
    encoding: Spec = {"x": x, "y": y, "tooltip": tooltip, "color": hue}
    many = len(series) > PALETTE_SIZE
    dash = {"strokeDash": repeated(series, DASHES)} if many else {}
    shape = {"shape": repeated(series, SHAPES)} if many else {}
    layers: list[Spec] = []
    if faint:
        mark = {"type": "line", "strokeWidth": 1, "opacity": 0.45} | INK
        layers.append({"data": {"values": faint}, "mark": mark, "encoding": {"x": x, "y": y}})
    layers.append({"mark": {"type": "line"}, "encoding": encoding | dash})
    if points:
        layers.append({"mark": {"type": "point", "filled": True, "size": 40}, "encoding": encoding | shape})
    if direct:
        mark = {"type": "text", "align": "left", "dx": 8, "fontSize": 11, "limit": 150, "tooltip": None}
        text = {"x": x, "y": y, "color": hue, "text": {"field": "series", "type": "nominal"}}
        layers.append({"data": {"values": _ends(rows, series, height)}, "mark": mark, "encoding": text})
    return base(rows, height) | {"layer": layers}


def _width(series: list[str]) -> int:
    """Pixels for the names beside the lines."""
    return min(150, 16 + 7 * max(map(len, series), default=0))


def _ends(rows: list[Row], series: list[str], height: int) -> list[Row]:
    """Where the lines' names stand: at their last points, moved apart where they would lie on one another."""
    last: dict[str, Row] = {}
    for row in rows:
        if row["series"] not in last or row["x"] >= last[row["series"]]["x"]:
            last[row["series"]] = row
    values = [row["y"] for row in rows]
    gap = 14 * (max(values) - min(values)) / height
    out: list[Row] = []
    for name in sorted((name for name in series if name in last), key=lambda name: last[name]["y"]):
        low = out[-1]["y"] + gap if out else -math.inf
        out.append({"series": name, "x": last[name]["x"], "y": max(last[name]["y"], low)})
    high = max(values)  # the names stay within the chart
    for row in reversed(out):
        row["y"] = min(row["y"], high)
        high = row["y"] - gap
    return out


def multiple(
    rows: list[Row], what: str, ends: list[list[float]], colour: int, *, tooltip: list[Row], share: bool, thin: bool
) -> Spec:
    """One of several small charts on the same axes: a line for each `line`, validation in the colour, training grey.

    `ends` are the axes' ends; `thin` is for many lines.
    """
    y_axis = {"format": ".0%", "tickCount": 4} if share else {"format": "~g", "tickCount": 4}
    ends = [[low - 0.5, high + 0.5] if low == high else [low, high] for low, high in ends]
    x_axis = _whole([{"x": end} for end in ends[0]])
    on_validation = {"test": "datum.split === 'validation'", "value": {"expr": f"series{colour}"}}
    encoding: Spec = {
        "x": quantity("x", "epoch", axis=x_axis, scale={"domain": ends[0], "nice": False}),
        "y": quantity("y", what, axis=y_axis, scale={"domain": ends[1], "zero": False, "nice": True}),
        "detail": {"field": "line", "type": "nominal"},
        "color": {"condition": on_validation, "value": {"expr": "muted"}},
        "opacity": {"condition": {"test": "datum.split === 'validation'", "value": 0.9}, "value": 0.35},
    }
    line = {"mark": {"type": "line", "strokeWidth": 1 if thin else 2, "clip": True}, "encoding": encoding}
    dots = {"mark": {"type": "point", "filled": True, "size": 10 if thin else 30, "clip": True}, "encoding": encoding}
    dots["encoding"] = encoding | {"tooltip": tooltip}
    return base(rows, 150) | {"layer": [line, dots]}


def _whole(rows: list[Row]) -> Spec:
    """Ticks on whole numbers, at most a dozen: there is no epoch 1.5 to read off."""
    high = math.ceil(max(row["x"] for row in rows))
    low = math.floor(min(row["x"] for row in rows))
    step = max(1, math.ceil((high - low) / 12))
    return {"values": list(range(low, high + 1, step)), "format": "d"}


def log_lines(rows: list[Row], *, x_title: str, y_title: str, series: list[str], tooltip: list[Row]) -> Spec:
    """Lines with points of `y` over `x` by `series`, both on log scales."""

    def axis(field: str, title: str) -> Spec:
        values = tens(row[field] for row in rows)
        return quantity(field, title, scale={"type": "log"}, axis={"format": "~s", "values": values})

    encoding: Spec = {"x": axis("x", x_title), "y": axis("y", y_title), "tooltip": tooltip, "color": colour(series)}
    line = {"mark": {"type": "line"}, "encoding": encoding}
    point = {"mark": {"type": "point", "size": 50}, "encoding": encoding | {"shape": shapes(series)}}
    return base(rows, 260) | {"layer": [line, point]}


def points(rows: list[Row], *, x_title: str, y_title: str, series: list[str], tooltip: list[Row]) -> Spec:
    """Points of a share `y` over `x`, with a colour and shape for each series and the `name` beside each point."""
    scale = {"zero": False, "padding": 12}
    encoding = {
        "x": quantity("x", x_title, scale=scale, axis={"tickCount": 5}),
        "y": quantity("y", y_title, scale=scale, axis={"format": ".0%", "tickCount": 5}),
    }
    point = {
        "mark": {"type": "point", "size": 80, "strokeWidth": 2.5, "opacity": 1},
        "encoding": {"color": colour(series), "shape": shapes(series), "tooltip": tooltip},
    }
    label = {
        "mark": {"type": "text", "dy": -10, "fontSize": 10, "limit": 110, "tooltip": None} | INK,
        "encoding": {"text": {"field": "name", "type": "nominal"}},
    }
    return base(rows, 220) | {"encoding": encoding, "layer": [point, label]}


def density(rows: list[Row], *, x_title: str, y_title: str, tooltip: list[Row], domains: list[list[float]]) -> Spec:
    """Cells from `x` to `x2` and from `y` to `y2`, coloured by the logarithm of `count`, over the two domains."""

    def axis(field: str, title: str, domain: list[float]) -> Spec:
        ticks = {"tickCount": 5, "format": "~g"}
        return quantity(field, title, bin={"binned": True}, axis=ticks, scale={"domain": domain})

    x, y = axis("x", x_title, domains[0]), axis("y", y_title, domains[1])
    hue = quantity("count", "texts", scale={"type": "log", "domainMin": 1})
    encoding = {"x": x, "x2": {"field": "x2"}, "y": y, "y2": {"field": "y2"}, "color": hue, "tooltip": tooltip}
    return base(rows, 220) | {"mark": {"type": "rect"}, "encoding": encoding}


def reliability(rows: list[Row], *, series: list[str], tooltip: list[Row]) -> Spec:
    """Accuracy `y` over confidence `x`, both from 0 to 1, by `series`, with the diagonal of perfect calibration."""
    more: dict[str, Any] = {"scale": {"domain": [0, 1]}, "axis": {"format": ".0%", "tickCount": 5}}
    encoding = {"x": quantity("x", "confidence", **more), "y": quantity("y", "accuracy", **more)}
    diagonal = {
        "data": {"values": [{"x": 0, "y": 0}, {"x": 1, "y": 1}]},
        "mark": {"type": "line", "strokeDash": [4, 3], "strokeWidth": 1} | INK,
        "encoding": encoding,
    }
    hue = {"color": colour(series)}
    line = {"mark": {"type": "line"}, "encoding": encoding | hue}
    points = {"mark": {"type": "point", "filled": True, "size": 40}, "encoding": encoding | hue | {"tooltip": tooltip}}
    return base(rows, 300) | {"layer": [diagonal, line, points]}


def scatter(rows: list[Row], *, series: list[str], tooltip: list[Row]) -> Spec:
    """Points at `x` and `y`, which have no unit, by `series`, the first of which stays in the background."""
    axis = {"labels": False, "ticks": False, "grid": False, "domain": False}
    x, y = (quantity(field, axis=axis, scale={"zero": False}) | {"title": None} for field in "xy")
    faint = {"condition": {"test": f"datum.series === '{series[0]}'", "value": 0.3}, "value": 0.85}
    encoding = {"x": x, "y": y, "color": colour(series), "tooltip": tooltip, "opacity": faint}
    return base(rows, 420) | {"mark": {"type": "point", "filled": True, "size": 26}, "encoding": encoding}
