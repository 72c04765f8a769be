"""Groups of texts with more errors than others, as table cells and as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, numbered, of_kind
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.enrichment import Enrichment


def interval(n: Enrichment, i: Any = ()) -> str:
    """The lift's 95% interval of one of the groups."""
    return f"{f.number(float(n.low[i]))}–{f.number(float(n.high[i]))}"


def figures(n: Enrichment, i: Any = ()) -> dict[str, Any]:
    """One of the groups in the columns of `columns`."""
    counts = {"texts": int(n.texts[i]), "errors": int(n.errors[i])}
    return counts | {"rate": float(n.rate[i]), "lift": float(n.lift[i]), "interval": interval(n, i)}


def columns(texts: str, rate: str) -> list[Column]:
    """Texts, errors, rate, lift and its interval; the first and third under these words."""
    counts = of_kind("int", texts=texts, errors="Errors")
    return [
        *counts,
        Column("rate", rate, "percent"),
        Column("lift", "Lift", "number"),
        Column("interval", "95% interval"),
    ]


def run_columns(matrix: ErrorMatrix) -> list[Column]:
    """A column for each run's own error rate; none of a single run, whose rate stands there already."""
    return numbered((run.name for run in matrix.runs), "percent") if len(matrix.runs) > 1 else []


def intervals(
    name: str,
    title: str,
    description: str,
    names: Sequence[str],
    n: Enrichment,
    values: Floats,
    scale: float,
    **axis: Any,
) -> Chart:
    """The groups' values, with the ends of their lifts times the scale."""
    rows = [
        {
            "name": each,
            "value": chart.short(float(values[i])),
            "low": chart.short(float(n.low[i]) * scale),
            "high": chart.short(float(n.high[i]) * scale),
            "texts": int(n.texts[i]),
        }
        for i, each in enumerate(names)
    ]
    return Chart(name, title, description, categories.intervals(rows, **axis))
