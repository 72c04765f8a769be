"""One colour for each method, the same in every chart of a study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from thriftune.analysis.display.chart import NEUTRAL_SIZE, PALETTE_SIZE
from thriftune.analysis.display.panel import Panel
from thriftune.results.store import Results


def colours(results: Results) -> dict[str, int]:
    """Each method's place in the theme's palette, by every name that charts call it or a run of it.

    Fine-tuned methods take the colours in the study's order, from the first again where there are more of them;
    baselines take the greys behind the colours. A method has one colour on all models.
    """
    places: dict[str, int] = {}
    tuned, baselines = 0, 0
    seen: dict[tuple[str, str | None], list[str]] = {}
    found: dict[str, int] = {}
    for run in results.runs:
        settings = json.dumps(run.method, sort_keys=True, default=str)
        cells = seen.setdefault((settings, run.model), [])
        if run.cell not in cells:
            cells.append(run.cell)
        key = f"{settings} {cells.index(run.cell)}"  # methods that differ otherwise have colours of their own
        if key not in places and (run.baseline or run.model is None):
            places[key] = PALETTE_SIZE + baselines % NEUTRAL_SIZE
            baselines += 1
        elif key not in places:
            places[key] = tuned % PALETTE_SIZE
            tuned += 1
        found |= dict.fromkeys((run.cell, run.name), places[key])
    return found


def coloured(panel: Panel, hues: Mapping[str, int]) -> Panel:
    """The panel with every chart's methods in their own colours; other series keep the theme's."""
    return replace(panel, charts=[replace(chart, spec=_coloured(chart.spec, hues)) for chart in panel.charts])


def _coloured(part: Any, hues: Mapping[str, int]) -> Any:
    if isinstance(part, list):
        return [_coloured(each, hues) for each in part]
    if not isinstance(part, dict):
        return part
    out = {key: value if key == "values" else _coloured(value, hues) for key, value in part.items()}
    channel = part.get("color")
    scale = channel.get("scale") if isinstance(channel, dict) else None
    if isinstance(channel, dict) and isinstance(scale, dict) and "range" not in scale:
        domain = scale.get("domain") or []
        if domain and all(isinstance(name, str) and name in hues for name in domain):
            taken = [{"expr": f"series{hues[name]}"} for name in domain]
            out["color"] = channel | {"scale": scale | {"range": taken}}
    return out
