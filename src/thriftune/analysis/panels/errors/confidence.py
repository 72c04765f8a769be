"""How sure the methods were of their errors: the gap between the predicted and the true label's probability."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.runs import Cell, cells, comparable
from thriftune.analysis.statistics.basics import Floats, tukey
from thriftune.results.store import Results

TITLE = "Confidence of errors"
QUESTION = "How sure was each method of the answers that it got wrong?"

CERTAIN = 0.9
LABELS_DRAWN = 8
ROWS_SHOWN = 300
"""Of the table by method and label."""
NUMBERS = ("low", "q1", "median", "q3", "high")

Gaps = dict[str, tuple[Floats, NDArray[np.int64]]]
"""By method or run: the gaps of its errors and their true label ids, both of shape (errors,)."""


def build(results: Results) -> Panel | NotApplicable:
    """Box plots of the gap over the errors, by method and by true label; a method's seeds count together."""
    own: Gaps = {}
    silent = []
    for run in results.done:
        read = predictions.read(results, run)
        if read.probabilities is None:
            silent.append(run.name)
        elif read.wrong.any():
            own[run.run_id] = (read.gap, read.label[read.wrong])
    gaps = _together(own, cells(results.done))
    if not gaps:
        return NotApplicable("No run made an error with probabilities to compare.")
    rows = [_row(name, values) for name, (values, _) in gaps.items()]
    by_class = _by_class(gaps, results.labels)
    drawn = results.labels if len(results.labels) <= LABELS_DRAWN else _most(gaps, results.labels)
    shown = [row for row in by_class if row["series"] in drawn]
    charts = [
        _chart("error-confidence", "Confidence of errors", rows, gaps),
        _chart("error-confidence-by-class", "Confidence of errors by true label", shown, gaps, drawn),
    ]
    tables = [
        Table(
            "gaps", "Lead: the predicted label's probability minus the true one's, over all errors.", _columns(), rows
        ),
        _class_table(by_class),
    ]
    notes = [
        "The lead is 0 where both labels were equally probable, 1 where a run was certain of a wrong label. "
        "The errors of a method's seeds count together."
    ]
    if silent:
        notes.append(f"Without probabilities: {f.listing(silent)}.")
    if len(drawn) < len(results.labels):
        notes.append(f"The {LABELS_DRAWN} labels with the most errors are drawn; results.json holds all.")
    statistics = {
        "gaps": [_plain(_row(name, values)) for name, (values, _) in own.items()],
        "gaps_by_true_label": [_plain(row) for row in _by_class(own, results.labels)],
    }
    return Panel(_sentences(results, gaps), tables, charts, notes, statistics)


def _together(own: Gaps, methods: list[Cell]) -> Gaps:
    """The gaps of the runs that differ by seed alone, one after the other."""
    out: Gaps = {}
    for method in methods:
        found = [own[run.run_id] for run in method.runs if run.run_id in own]
        if found:
            out[method.name] = (np.concatenate([gap for gap, _ in found]), np.concatenate([true for _, true in found]))
    return out


def _class_table(rows: list[dict[str, Any]]) -> Table:
    caption = "The same by true label."
    if len(rows) > ROWS_SHOWN:
        caption += f" The {ROWS_SHOWN} rows with the most errors, of {f.count(len(rows))}."
        least = sorted((row["errors"] for row in rows), reverse=True)[ROWS_SHOWN - 1]
        above = [row for row in rows if row["errors"] > least]
        ties = [row for row in rows if row["errors"] == least][: ROWS_SHOWN - len(above)]
        kept = {id(row) for row in (*above, *ties)}
        rows = [row for row in rows if id(row) in kept]
    return Table("gaps-by-class", caption, _columns("series"), rows)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the tables as `results.json` holds it."""
    label = {"true_label": row["series"]} if "series" in row else {}
    named = {"errors": row["errors"], "lower_quartile": row["q1"], "median": row["median"], "upper_quartile": row["q3"]}
    return {"run": row["name"]} | label | named | {"share_above_0.9": row["sure"]}


def _row(name: str, values: Floats, series: str | None = None) -> dict[str, Any]:
    row: dict[str, Any] = {"name": name} | {k: chart.short(v) for k, v in tukey(values).items()}
    row |= {"errors": len(values), "sure": chart.short(float((values > CERTAIN).mean()))}
    return row | ({"series": series} if series is not None else {})


def _by_class(gaps: Gaps, labels: list[str]) -> list[dict[str, Any]]:
    return [
        _row(name, values[true == i], label)
        for name, (values, true) in gaps.items()
        for i, label in enumerate(labels)
        if (true == i).any()
    ]


def _most(gaps: Gaps, labels: list[str]) -> list[str]:
    totals = np.sum([np.bincount(true, minlength=len(labels)) for _, true in gaps.values()], axis=0)
    top = sorted(np.argsort(-totals, kind="stable")[:LABELS_DRAWN])
    return [labels[i] for i in top]


def _sentences(results: Results, gaps: Gaps) -> list[str]:
    learned = [cell.name for cell in cells(comparable(results))]
    names = [name for name in learned if name in gaps]
    if not names:
        return [
            "Of fine-tuned methods that learned there are no errors with probabilities; the figures are the others'."
        ]
    medians = {name: float(np.median(gaps[name][0])) for name in names}
    sure = {name: float((gaps[name][0] > CERTAIN).mean()) for name in names}
    if len(names) == 1:
        median = f"{names[0]} gave its wrong answers a median lead of {medians[names[0]]:.2f} over the true label"
        if not sure[names[0]]:
            return [f"{median}, and none a lead above {CERTAIN}."]
        return [f"{median}; it was all but certain (a lead above {CERTAIN}) of {f.share(sure[names[0]])} of them."]
    ranked = sorted(names, key=lambda name: -medians[name])
    parts = f.listing([f"{name} {medians[name]:.2f}" for name in ranked])
    return [f"Median lead of the wrong label over the true one, the surest first: {parts}.", _certain(sure)]


def _certain(sure: dict[str, float]) -> str:
    """The methods by the share of their errors in which they were all but certain."""
    if not any(sure.values()):
        return f"No error was made with near certainty (a lead above {CERTAIN})."
    ranked = sorted(sure, key=lambda name: -sure[name])
    parts = [f"{name} {f.share(sure[name])}" for name in ranked]
    return f"Errors made with near certainty (a lead above {CERTAIN}), the most first: {f.listing(parts)}."


def _columns(series: str | None = None) -> list[Column]:
    columns = [Column("name", "Method"), *([Column(series, "True label")] if series else [])]
    columns += [
        Column("errors", "Errors", "int"),
        *of_kind("number", q1="Lower quartile", median="Median", q3="Upper quartile"),
        Column("sure", "Lead above 0.9", "percent"),
    ]
    return columns


def _chart(name: str, title: str, rows: list[dict[str, Any]], gaps: Gaps, series: list[str] | None = None) -> Chart:
    tooltip = chart.tips(name="method") + (chart.tips(series="true label") if series else [])
    tooltip += chart.tips(**{n: (n, ".3f") for n in NUMBERS}, errors=("errors", ","))
    x_title = "predicted minus true label's probability"
    spec = categories.boxes(rows, x_title=x_title, order=list(gaps), series=series, tooltip=tooltip)
    what = "one for each true label" if series else "whiskers end within 1.5 interquartile ranges"
    return Chart(name, title, f"Box plots over each method's errors{',' if series else ';'} {what}.", spec)
