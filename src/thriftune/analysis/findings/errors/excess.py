"""Groups of texts with more errors than others of the same labels, in tables, in words and as a chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, numbered, of_kind
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, Mask
from thriftune.analysis.statistics.stratified import Stratified

WHOLE = "it holds all texts of its labels"
"""Why a group cannot be compared to others of its labels."""


def interval(n: Stratified, i: Any = ()) -> str:
    """The 95% interval of how many points more a group has."""
    return f.points_range(float(n.difference_low[i]), float(n.difference_high[i]))


def against(n: Stratified, i: Any = ()) -> str:
    """One of the groups in words, its base rate included."""
    return (
        f"{f.percent(float(n.rate[i]))} of these {int(n.texts[i]):,} texts are errors, against "
        f"{f.percent(float(n.elsewhere[i]))} of other texts with the same labels: "
        f"{f.signed_points(float(n.difference[i]))} points (95% interval {interval(n, i)})"
    )


def figures(n: Stratified, i: Any = ()) -> dict[str, Any]:
    """One of the groups in the columns of `columns`."""
    row: dict[str, Any] = {"texts": int(n.texts[i]), "errors": int(n.errors[i]), "rate": float(n.rate[i])}
    if math.isnan(float(n.difference[i])):
        return row | dict.fromkeys(("elsewhere_reason", "more_reason", "interval_reason"), WHOLE)
    return row | {"elsewhere": float(n.elsewhere[i]), "more": float(n.difference[i]), "interval": interval(n, i)}


def plain(n: Stratified, i: Any = ()) -> dict[str, Any]:
    """One of the groups as `results.json` holds it."""
    out: dict[str, Any] = {"texts": int(n.texts[i]), "errors": int(n.errors[i]), "error_rate": float(n.rate[i])}
    names = ("error_rate_elsewhere", "difference", "difference_interval_95")
    if math.isnan(float(n.difference[i])):
        return out | dict.fromkeys(names) | {f"{name}_reason": WHOLE for name in names}
    ends = [float(n.difference_low[i]), float(n.difference_high[i])]
    return out | dict(zip(names, (float(n.elsewhere[i]), float(n.difference[i]), ends), strict=True))


def columns(texts: str, rate: str, elsewhere: str) -> list[Column]:
    """Texts, errors, their rate, that of the others, and the difference; three of them under these words."""
    return [
        *of_kind("int", texts=texts, errors="Errors"),
        *of_kind("percent", rate=rate, elsewhere=elsewhere),
        Column("more", "More, points", "points"),
        Column("interval", "95% interval"),
    ]


def method_columns(matrix: ErrorMatrix) -> list[Column]:
    """A column for each method's own error rate; none of a single one, whose rate stands there already."""
    return numbered((method.name for method in matrix.methods), "percent") if len(matrix.methods) > 1 else []


def each(matrix: ErrorMatrix, texts: Mask) -> dict[str, float]:
    """Every method's own error rate on some texts, in the columns of `method_columns`."""
    if len(matrix.methods) == 1:
        return {}
    rates = matrix.wrong[:, texts].mean(axis=1)
    return {f"r{j}": float(rates[method.rows].mean()) for j, method in enumerate(matrix.methods)}


def differences(name: str, title: str, description: str, names: Sequence[str], n: Stratified) -> Chart:
    """How many points more errors each group has than others of its labels, with intervals."""
    rows = [
        {
            "name": each,
            "value": chart.short(100 * float(n.difference[i])),
            "low": chart.short(100 * float(n.difference_low[i])),
            "high": chart.short(100 * float(n.difference_high[i])),
            "rate": chart.short(float(n.rate[i])),
            "texts": int(n.texts[i]),
        }
        for i, each in enumerate(names)
    ]
    tooltip = chart.tips(
        name="texts",
        value=("points more", ".1f"),
        low=("from", ".1f"),
        high=("to", ".1f"),
        rate=("error rate", ".1%"),
        texts=("number", ","),
    )
    title_of_axis = "error rate against other texts with the same labels, points"
    spec = categories.intervals(rows, x_title=title_of_axis, reference=0.0, tooltip=tooltip)
    return Chart(name, title, description, spec)
