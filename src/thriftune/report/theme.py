"""Colours and fonts of the charts, light and dark.

The series colours start from those of Okabe and Ito (2008), which can be told apart with the common kinds of colour
blindness; they are made darker on a light page and lighter on a dark one, so that text in them has a contrast of 4.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

FIGURE_WIDTH = 640
"""Pixels across a figure's plotting area and its axis."""


@dataclass(frozen=True)
class Theme:
    """One colour scheme; every colour is a CSS hex code."""

    ink: str
    muted: str
    grid: str
    paper: str
    series: tuple[str, ...]
    neutral: tuple[str, ...]
    """Greys, for what is no method of fine-tuning."""
    heat: tuple[str, str]
    """The heat map's colours for 0 and 1."""
    ink_on_low: str
    ink_on_high: str
    turn: float
    """From this value on `ink_on_high` is written on the heat map; both inks have a contrast of 4.5 or more there."""

    def params(self) -> list[dict[str, str | float]]:
        """The parameters that chart specifications refer to by name."""
        values: dict[str, str | float] = {
            "ink": self.ink,
            "ink_on_low": self.ink_on_low,
            "ink_on_high": self.ink_on_high,
            "ink_turn": self.turn,
            "muted": self.muted,
        }
        values |= {f"series{i}": colour for i, colour in enumerate((*self.series, *self.neutral))}
        return [{"name": name, "value": value} for name, value in values.items()]

    def classes(self) -> str:
        """Style sheet rules that give the page's own drawings the methods' colours: `.c0`, `.c1` and so on."""
        return "".join(f".c{i} {{ --colour: {value}; }}" for i, value in enumerate((*self.series, *self.neutral)))

    def config(self) -> dict[str, Any]:
        """The Vega-Lite config."""
        font = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
        text = {"labelColor": self.muted, "titleColor": self.ink, "labelFontSize": 11, "titleFontSize": 11}
        return {
            "font": font,
            "background": "transparent",
            "view": {"stroke": None},
            "axis": text
            | {
                "titleFontWeight": "normal",
                "gridColor": self.grid,
                "domainColor": self.grid,
                "tickColor": self.grid,
                "labelOverlap": True,
                "labelLimit": 180,
            },
            "axisY": {"labelPadding": 6},
            "axisBand": {"grid": False, "ticks": False},
            "legend": text
            | {"orient": "bottom", "direction": "horizontal", "labelLimit": 160, "columns": 3, "symbolOpacity": 1},
            "range": {"category": list(self.series), "heatmap": list(self.heat), "ramp": list(self.heat)},
            "mark": {"color": self.series[0], "tooltip": True},
            "bar": {"color": self.series[0]},
            "line": {"strokeWidth": 2},
            "point": {"color": self.muted},
        }

    def themed(self, spec: dict[str, Any]) -> dict[str, Any]:
        """The specification with this theme, for drawing without a page."""
        return spec | {"params": [*spec.get("params", []), *self.params()], "config": self.config()}


LIGHT = Theme(
    ink="#1c2330",
    muted="#4d5766",
    grid="#dfe3e8",
    paper="#ffffff",
    series=("#0072b2", "#c24a00", "#00795a", "#a8467f", "#946200", "#5b4b9a", "#1f2d50", "#7d2a2a"),
    neutral=("#4d5766", "#6b7480"),
    heat=("#f3f6fa", "#0b4f85"),
    ink_on_low="#000000",
    ink_on_high="#ffffff",
    turn=0.74,
)
DARK = Theme(
    ink="#e8ebf0",
    muted="#aab3c0",
    grid="#333c49",
    paper="#14181f",
    series=("#4aa8e0", "#f08a4b", "#2cc295", "#e39ac4", "#f0b429", "#a99be6", "#cfe3ff", "#f7b7a8"),
    neutral=("#aab3c0", "#828d9b"),
    heat=("#1d2530", "#6cb8ef"),
    ink_on_low="#ffffff",
    ink_on_high="#000000",
    turn=0.58,
)


def figure(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification of a stand-alone figure: light, on white, of a fixed width."""
    out = LIGHT.themed(spec) | {"width": FIGURE_WIDTH, "background": LIGHT.paper, "padding": 12}
    return out | {"autosize": {"type": "fit-x", "contains": "padding"}}
