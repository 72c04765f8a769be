"""Which labels the errors have, and which they were given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import chart
from thriftune.analysis.display.matrices import matrix
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, numbered
from thriftune.analysis.findings.decision import decide
from thriftune.analysis.findings.runs import cells, comparable
from thriftune.results.scores import Scores
from thriftune.results.store import Results

TITLE = "Labels of errors"
QUESTION = "On which labels do the runs err, and what do they predict instead?"

LABELS_SHOWN = 15
"""Those with the most errors."""
BY = ("true", "predicted")
METHODS = 16
"""Columns of the matrices: the methods that scored highest."""


def build(results: Results) -> Panel | NotApplicable:
    """The errors of every method, by true and by predicted label."""
    methods = _wrong(results)
    if not methods:
        return NotApplicable("No run made an error on the test texts.")
    tables, charts = [], []
    for by in BY:
        labels = _shown(results.labels, methods, by)
        tables.append(_table(labels, results.labels, methods, by))
        charts.append(_chart(labels, results.labels, methods, by))
    notes = []
    if len(results.labels) > LABELS_SHOWN:
        notes.append(f"The {LABELS_SHOWN} labels with the most errors are shown, of {len(results.labels)}.")
    return Panel([*_rates(results), *_predicted(results, methods)], tables, charts, notes, open_charts=1)


@dataclass(frozen=True)
class Wrong:
    """A method's errors, its seeds added up, by true and by predicted label in label order."""

    name: str
    true: list[int]
    predicted: list[int]

    def by(self, what: str) -> list[int]:
        """By true or by predicted label."""
        return self.true if what == "true" else self.predicted


def _wrong(results: Results) -> list[Wrong]:
    """The methods that made an error, the best first; where no method learned, all in the study's order."""
    ranked = [each.cell for each in decide(results).standings] or cells(results.done)
    out = []
    for cell in ranked:
        tests = [run.test for run in cell.runs if run.test is not None]
        true, predicted = ([sum(each) for each in zip(*(counts(t, by) for t in tests), strict=True)] for by in BY)
        if sum(true):
            out.append(Wrong(cell.name, true, predicted))
    return out


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


def _shown(labels: list[str], methods: list[Wrong], by: str) -> list[str]:
    """The labels with the most errors, the most first."""
    totals = [sum(each) for each in zip(*(method.by(by) for method in methods), strict=True)]
    top = sorted(range(len(labels)), key=lambda i: -totals[i])[:LABELS_SHOWN]
    return [labels[i] for i in top]


def _predicted(results: Results, methods: list[Wrong]) -> list[str]:
    """The label that the errors of most methods are given, and those of the others."""
    able = {cell.name for cell in cells(comparable(results))}
    tops: dict[str, list[str]] = {}
    for method in methods:
        if method.name in able:
            label = results.labels[max(range(len(method.predicted)), key=lambda i: method.predicted[i])]
            tops.setdefault(label, []).append(method.name)
    if not tops:
        return []
    if len(tops) == 1:
        return [f"Errors are most often predictions of {next(iter(tops))}, with every method that learned."]
    parts = [f"{label} ({f.listing(names, 4)})" for label, names in tops.items()]
    return [f"Errors are most often predictions of {f.listing(parts)}."]


def _table(labels: list[str], known: list[str], methods: list[Wrong], by: str) -> Table:
    columns = [Column("method", "Method"), Column("errors", "Errors", "int"), *numbered(labels, "percent", "l")]
    rows = []
    for method in methods:
        numbers = dict(zip(known, method.by(by), strict=True))
        row: dict[str, Any] = {"method": method.name, "errors": sum(numbers.values())}
        rows.append(row | {f"l{i}": numbers[label] / row["errors"] for i, label in enumerate(labels)})
    return Table(f"errors-by-{by}", f"Share of each method's errors by {by} label.", columns, rows)


def _chart(labels: list[str], known: list[str], methods: list[Wrong], by: str) -> Chart:
    rows = []
    for method in methods[:METHODS]:
        numbers = dict(zip(known, method.by(by), strict=True))
        total = sum(numbers.values())
        rows += [
            {
                "name": label,
                "column": method.name,
                "share": chart.short(numbers[label] / total),
                "text": f.percent(numbers[label] / total, 0),
                "count": numbers[label],
            }
            for label in labels
        ]
    tooltip = chart.tips(
        column="method", name=f"{by} label", share=("share of its errors", ".1%"), count=("errors", ",")
    )
    across = [method.name for method in methods[:METHODS]]
    spec = matrix(rows, down=labels, across=across, tooltip=tooltip, fitted=True)
    description = f"Matrix: the share of each method's errors by {by} label, the most frequent first; darker is more."
    return Chart(f"errors-by-{by}", f"Errors by {by} label", description, spec)
