"""Lines of a cost over what varies, one a method: time or memory in the unit that fits."""

from __future__ import annotations

from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart

COSTS = {"seconds": "Training time", "memory": "Peak memory"}
"""The costs of a cell by its attribute, in words."""


def cost_lines(
    key: str,
    known: list[tuple[str, int, float]],
    series: list[str],
    *,
    name: str,
    title: str,
    x: tuple[str, str],
    over: str,
) -> Chart | None:
    """A small chart of one of `COSTS` from (method, place, value) in the order of the places; None without values.

    `x` is the place in a tooltip and at the axis, `over` in the description.
    """
    if not known:
        return None
    divisor, unit, write = chart.unit_of("seconds" if key == "seconds" else "bytes", (value for *_, value in known))
    rows = [
        {"x": place, "y": chart.short(value / divisor), "series": method, "text": write(value)}
        for method, place, value in known
    ]
    tooltip = chart.tips(series="method", x=x[0], text=COSTS[key].lower())
    spec = planes.lines(rows, x_title=x[1], y_title=unit, series=series, tooltip=tooltip)
    return Chart(name, title, f"Lines: {COSTS[key].lower()} over the {over}, one line a method.", spec, small=True)
