"""What every Vega-Lite specification shares: data, colours, tooltips and units.

User text is only ever a value in the data, a scale's domain or a title: never a field name or an expression.
Names starting with `ink` and `series` are parameters that the report's theme defines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from thriftune import wording as f

Row = dict[str, Any]
Spec = dict[str, Any]

PALETTE_SIZE = 8
"""Colours in the theme's palette; more series than that repeat them with another shape and dash."""
NEUTRAL_SIZE = 2
"""Greys behind them, for what is no method of fine-tuning."""
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
PERCENT_AXIS = {"format": ".0%", "tickCount": 6}

BYTE_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
TIME_UNITS = ((3600.0, "hours"), (60.0, "minutes"))


def tips(**fields: str | tuple[str, str]) -> list[Row]:
    """A tooltip's lines in order: by field of the data its title, and where the value is a number how it is written."""
    return [_tip(field, (title,) if isinstance(title, str) else title) for field, title in fields.items()]


def _tip(field: str, title: tuple[str, ...]) -> Row:
    if len(title) == 1:
        return {"field": field, "type": "nominal", "title": title[0]}
    return {"field": field, "type": "quantitative", "title": title[0], "format": title[1]}


def short(value: float) -> float:
    """The number with six significant digits, which is more than a chart shows."""
    return float(f"{value:.6g}")


def unit_of(kind: str, values: Iterable[float]) -> tuple[float, str, Callable[[float], str]]:
    """For an axis of bytes or seconds: what to divide by, the unit's name, and what writes one value."""
    units, base, write = (BYTE_UNITS, "bytes", f.size) if kind == "bytes" else (TIME_UNITS, "seconds", f.seconds)
    largest = max(values, default=0)
    divisor, name = next(((divisor, name) for divisor, name in units if largest >= divisor), (1.0, base))
    return divisor, name, write


def quantity(field: str, title: str | None = None, **more: Any) -> Spec:
    """A channel for numbers; without a title the field's own stands."""
    return {"field": field, "type": "quantitative"} | ({} if title is None else {"title": title}) | more


def by_name(order: list[str], **more: Any) -> Spec:
    """The vertical channel of charts with a row for each `name`."""
    return {"field": "name", "type": "nominal", "sort": order, "title": None} | more


def colour(series: list[str]) -> Spec:
    """The colour channel by `series`; where all of them are methods, `colours` gives each its own."""
    return _by_series(series) | {"scale": {"domain": series}, "legend": {"symbolLimit": 60}}


def repeated(series: list[str], values: Iterable[Any], every: int = PALETTE_SIZE) -> Spec:
    """A channel that takes the next of the values after every so many series."""
    choice = list(values)
    taken = [choice[(i // every) % len(choice)] for i in range(len(series))]
    return _by_series(series) | {"scale": {"domain": series, "range": taken}}


def shapes(series: list[str]) -> Spec:
    """A shape for each series."""
    return repeated(series, SHAPES, every=1)


def _by_series(series: list[str]) -> Spec:
    return {"field": "series", "type": "nominal", "sort": series, "title": None}


def base(rows: list[Row], height: int) -> Spec:
    """The data and the height; the page gives the width."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        "data": {"values": rows},
    }
