"""Which labels the errors have, and which they were given."""

from __future__ import annotations

from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings.runs import comparable, correct
from thriftune.results.record import RunRecord
from thriftune.results.scores import Scores
from thriftune.results.store import Results

TITLE = "Labels of errors"
QUESTION = "On which labels do the runs err, and what do they predict instead?"

LABELS_SHOWN = 20


def build(results: Results) -> Panel | NotApplicable:
    """The errors of every run, by true and by predicted label."""
    wrong = [(run, run.test) for run in results.done if run.test and correct(run.test) < run.test.texts]
    if not wrong:
        return NotApplicable("No run made an error on the test texts.")
    labels = _shown(results.labels, wrong)
    tables = [_table(labels, results.labels, wrong, by) for by in ("true", "predicted")]
    charts = [_chart(labels, results.labels, wrong, by) for by in ("true", "predicted")]
    notes = []
    if len(labels) < len(results.labels):
        notes.append(f"The {LABELS_SHOWN} labels with the most errors are shown, of {len(results.labels)}.")
    return Panel([*_rates(results), *_predicted(results)], tables, charts, notes)


def _rates(results: Results) -> list[str]:
    """Error rates of the labels, highest first, as means over the fine-tuned runs that learned."""
    scores = [run.test for run in comparable(results) if run.test]
    if not scores:
        return []
    means = {
        label: float(np.mean([1 - test.per_class[label].recall for test in scores]))
        for i, label in enumerate(results.labels)
        if sum(scores[0].confusion[i])
    }
    ranked = sorted(means, key=lambda label: -means[label])
    parts = [f"{label} {f.percent(means[label])}" for label in ranked]
    whose = "" if len(scores) == 1 else ", mean of the runs that learned"
    return [f"Error rate by true label{whose}: {f.listing(parts)}."]


def counts(scores: Scores, by: str) -> list[int]:
    """Errors by true or by predicted label, in label order."""
    matrix = scores.confusion if by == "true" else [list(column) for column in zip(*scores.confusion, strict=True)]
    return [sum(row) - row[i] for i, row in enumerate(matrix)]


def _shown(labels: list[str], wrong: list[tuple[RunRecord, Scores]]) -> list[str]:
    if len(labels) <= LABELS_SHOWN:
        return labels
    totals = [sum(each) for each in zip(*(counts(test, "true") for _, test in wrong), strict=True)]
    top = sorted(range(len(labels)), key=lambda i: -totals[i])[:LABELS_SHOWN]
    return [labels[i] for i in sorted(top)]


def _predicted(results: Results) -> list[str]:
    runs = comparable(results)
    tops: dict[str, list[str]] = {}
    for run in runs:
        if run.test and correct(run.test) < run.test.texts:
            numbers = counts(run.test, "predicted")
            label = results.labels[max(range(len(numbers)), key=lambda i: numbers[i])]
            tops.setdefault(label, []).append(run.name)
    if not tops:
        return []
    if len(tops) == 1:
        return [f"Errors are most often predictions of {next(iter(tops))}, in every run that learned."]
    parts = [f"{label} ({f.listing(names, 4)})" for label, names in tops.items()]
    return [f"Errors are most often predictions of {f.listing(parts)}."]


def _table(labels: list[str], known: list[str], wrong: list[tuple[RunRecord, Scores]], by: str) -> Table:
    columns = [Column("run", "Run"), Column("errors", "Errors", "int")]
    columns += [Column(f"l{i}", label, "percent") for i, label in enumerate(labels)]
    rows = []
    for run, test in wrong:
        numbers = dict(zip(known, counts(test, by), strict=True))
        total = sum(numbers.values())
        row: dict[str, Any] = {"run": run.name, "errors": total}
        rows.append(row | {f"l{i}": numbers[label] / total for i, label in enumerate(labels)})
    return Table(f"errors-by-{by}", f"Share of each run's errors by {by} label.", columns, rows)


def _chart(labels: list[str], known: list[str], wrong: list[tuple[RunRecord, Scores]], by: str) -> Chart:
    rows = []
    for run, test in wrong:
        numbers = dict(zip(known, counts(test, by), strict=True))
        total = sum(numbers.values())
        rows += [
            {
                "name": run.name,
                "series": label,
                "series_order": i,
                "share": chart.short(numbers[label] / total),
                "count": numbers[label],
            }
            for i, label in enumerate(labels)
        ]
    tooltip = chart.tips(name="run", series=f"{by} label", share=("share of errors", ".1%"), count=("errors", ","))
    spec = categories.bars(
        rows,
        x="share",
        x_title="share of the run's errors",
        order=[run.name for run, _ in wrong],
        series=labels,
        stacked=True,
        share=True,
        tooltip=tooltip,
    )
    description = f"Stacked bars: each run's errors by {by} label."
    return Chart(f"errors-by-{by}", f"Errors by {by} label", description, spec)
