"""Where the predicted costs of two methods cross along an axis, in words, tables and charts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations, pairwise

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, Panel, Table, numbered
from thriftune.metrics import Kind
from thriftune.results.prediction import AxisPoint

AXES = {
    "tokens": ("Tokens per batch", "tokens per batch", "padded tokens per batch (log scale)"),
    "depth": ("Depth", "layers", "layers with gradients (log scale)"),
    "size": ("Model size", "parameters", "parameters of the model (log scale)"),
}


@dataclass(frozen=True)
class Quantity:
    """What is compared along an axis."""

    what: str
    better: str
    title: str
    kind: Kind
    unit: str = ""
    """Of a number: a word after it."""
    divisor: float = 1.0


QUANTITIES = {
    "peak_memory_bytes": Quantity("memory", "needs less memory", "peak memory of a training step", "bytes"),
    "seconds_per_sample": Quantity("time", "trains faster", "training time per text on this machine", "seconds"),
    "flops_per_sample": Quantity("time", "trains faster", "training work per text", "number", "GFLOP", 1e9),
}
LEVEL = 0.01
"""Differences below this share count as none: two methods that run the same code do not cross."""


@dataclass(frozen=True)
class Crossing:
    """Below `x` the first method costs less, above it the second."""

    first: str
    second: str
    x: float


def build(axis: str, points: list[AxisPoint]) -> Panel:
    """Memory and work of every method along an axis: sentences on where they cross, one table and chart for each."""
    sentences, tables, charts = [], [], []
    timed = all(point.seconds_per_sample is not None for point in points)
    for key in ("peak_memory_bytes", "seconds_per_sample" if timed else "flops_per_sample"):
        found, quantity = crossings(points, key), QUANTITIES[key]
        said = [_sentence(axis, crossing, quantity.better) for crossing in found]
        sentences += said or [_no_crossing(axis, quantity.what, points)]
        tables.append(_table(axis, key, points))
        charts.append(_chart(axis, key, points))
    notes = [
        "All numbers are predicted, none is measured. Time is this machine's, from its probe, where that is known for "
        "all models of an axis, and else the arithmetic of training (FLOPs per text); the frozen layers' single pass "
        "is spread over three epochs. A place where lines cross is interpolated between those that were estimated."
    ]
    return Panel(sentences, tables, charts, notes)


def crossings(points: list[AxisPoint], key: str) -> list[Crossing]:
    """Every place where one of two methods stops costing less than the other, in the order of the places.

    Between two neighbouring places both costs are taken as straight lines over log x in log cost.
    """
    lines = _lines(points, key)
    found = []
    for one, two in combinations(lines, 2):
        shared = sorted(set(lines[one]) & set(lines[two]))
        gaps = [(x, math.log(lines[one][x] / lines[two][x])) for x in shared]
        gaps = [(x, gap) for x, gap in gaps if abs(gap) > LEVEL]
        for (x0, gap0), (x1, gap1) in pairwise(gaps):
            if gap0 * gap1 < 0:
                x = math.exp(math.log(x0) + (math.log(x1) - math.log(x0)) * gap0 / (gap0 - gap1))
                found.append(Crossing(one, two, x) if gap0 < 0 else Crossing(two, one, x))
    return sorted(found, key=lambda crossing: crossing.x)


def _lines(points: list[AxisPoint], key: str) -> dict[str, dict[float, float]]:
    lines: dict[str, dict[float, float]] = {}
    for point in points:
        lines.setdefault(point.method, {})[point.x] = float(getattr(point, key))
    return lines


def _sentence(axis: str, crossing: Crossing, better: str) -> str:
    value = f.short_count(_rounded(crossing.x)) if axis != "depth" else f.number(crossing.x)
    unit = AXES[axis][1]
    return (
        f"Below about {value} {unit} {crossing.first} {better} than {crossing.second}; above, {crossing.second} does."
    )


def _rounded(value: float) -> float:
    """Two significant digits, which is what an interpolation can say."""
    return float(f"{value:.2g}")


def _no_crossing(axis: str, what: str, points: list[AxisPoint]) -> str:
    xs = sorted({point.x for point in points})
    low, high = (f.short_count(x) for x in (xs[0], xs[-1]))
    return f"The order of the methods in {what} is the same from {low} to {high} {AXES[axis][1]}."


def _table(axis: str, key: str, points: list[AxisPoint]) -> Table:
    methods = list(dict.fromkeys(point.method for point in points))
    quantity = QUANTITIES[key]
    columns = [Column("place", AXES[axis][0]), *numbered(methods, quantity.kind, "m")]
    rows = []
    for label in dict.fromkeys(point.label for point in sorted(points, key=lambda point: point.x)):
        here = {point.method: getattr(point, key) / quantity.divisor for point in points if point.label == label}
        rows.append({"place": label} | {f"m{i}": here.get(name) for i, name in enumerate(methods)})
    unit = f", {quantity.unit}" if quantity.unit else ""
    return Table(f"{axis}-{quantity.what}", f"{AXES[axis][0]}: predicted {quantity.title}{unit}.", columns, rows)


def _chart(axis: str, key: str, points: list[AxisPoint]) -> Chart:
    quantity = QUANTITIES[key]
    values = [getattr(point, key) / quantity.divisor for point in points]
    if quantity.kind in ("bytes", "seconds"):
        divisor, unit, write = chart.unit_of(quantity.kind, values)
    else:
        divisor, unit, write = 1.0, f"{quantity.unit} per text", lambda value: f"{f.number(value)} {quantity.unit}"
    rows = [
        {
            "x": point.x,
            "y": chart.short(value / divisor),
            "series": point.method,
            "place": point.label,
            "text": write(value),
        }
        for value, point in sorted(zip(values, points, strict=True), key=lambda pair: pair[1].x)
    ]
    tooltip = chart.tips(series="method", place="at", text="predicted")
    series = list(dict.fromkeys(point.method for point in points))
    spec = planes.log_lines(rows, x_title=AXES[axis][2], y_title=unit, series=series, tooltip=tooltip)
    title = f"{AXES[axis][0]}: predicted {quantity.title}"
    return Chart(f"{axis}-{quantity.what}", title, f"Lines on log scales: {title.lower()}, one a method.", spec)
