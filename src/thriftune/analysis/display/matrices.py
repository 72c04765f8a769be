"""Vega-Lite specification of a matrix: rows by columns, coloured by a share that is written into it."""

from __future__ import annotations

from thriftune.analysis.display.chart import Row, Spec, base, quantity

WRITTEN = 14
"""Columns up to which every share is written; beyond that colour and tooltip tell it."""
STEP = 22
"""Pixels of a row."""


def matrix(rows: list[Row], *, down: list[str], across: list[str], tooltip: list[Row]) -> Spec:
    """Rects of `share` at `name` and `column`, in the orders `down` and `across`; `text` is written where it fits.

    Colours go from 0 to the largest share.
    """
    high = max((row["share"] for row in rows), default=0.0) or 1.0
    level = len(across) * max(map(len, across), default=0) <= 90
    x_axis: Spec = {"orient": "top", "labelAngle": 0, "labelLimit": 190, "labelOverlap": False}
    if not level:
        x_axis |= {"labelAngle": 35, "labelAlign": "right"}  # to the left, where the rows' names leave room
    axes = {"grid": False, "domain": False, "ticks": False, "title": None}
    hue = quantity("share", scale={"domain": [0, high], "interpolate": "rgb"}, legend=None)
    layers: list[Spec] = [{"mark": {"type": "rect", "stroke": None}, "encoding": {"color": hue, "tooltip": tooltip}}]
    if len(across) <= WRITTEN:
        on_high = {"test": f"datum.share > {high:.6g} * ink_turn", "value": {"expr": "ink_on_high"}}
        ink = {"condition": on_high, "value": {"expr": "ink_on_low"}}
        mark = {"type": "text", "fontSize": 11, "tooltip": None}
        layers.append({"mark": mark, "encoding": {"text": {"field": "text", "type": "nominal"}, "color": ink}})
    encoding = {
        "x": {"field": "column", "type": "nominal", "sort": across, "axis": x_axis | axes, "title": None},
        "y": {"field": "name", "type": "nominal", "sort": down, "axis": axes, "title": None},
    }
    return base(rows, STEP * max(1, len(down))) | {"encoding": encoding, "layer": layers}
