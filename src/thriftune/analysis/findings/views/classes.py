"""Classes by method: error rates as a matrix, tables of scores, and confusion matrices, seeds together."""

from __future__ import annotations

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.matrices import matrix
from thriftune.analysis.display.panel import Chart, Column, Table, of_kind
from thriftune.analysis.findings import classes
from thriftune.analysis.findings.runs import Cell
from thriftune.results.scores import Scores
from thriftune.results.store import Results

HARDEST = 15
"""Classes that the matrix of error rates shows."""
METHODS = 16
"""Columns of that matrix, and methods with tables and confusion matrices of their own: those that scored highest."""
COLUMNS = [
    Column("label", "Class"),
    *of_kind("percent", precision="Precision", recall="Recall", f1="F1"),
    Column("support", "Texts", "int"),
]


def error_rates(results: Results, methods: list[Cell]) -> Chart | None:
    """The error rate of each method on the hardest classes, the hardest first; None without methods or classes."""
    columns = methods[:METHODS]
    labels = classes.most_wrong(results, columns, HARDEST)
    if not columns or not labels:
        return None
    rows = []
    for cell in columns:
        for label in labels:
            rates = [1 - test.per_class[label].recall for test in tests(cell)]
            rows.append(
                {
                    "name": label,
                    "column": cell.name,
                    "share": chart.short(float(np.mean(rates))),
                    "text": f.percent(float(np.mean(rates)), 0),
                    "seeds": f.percent_range(min(rates), max(rates)) if len(rates) > 1 else "one seed",
                    "support": tests(cell)[0].per_class[label].support,
                }
            )
    tooltip = chart.tips(
        column="method", name="class", share=("error rate", ".1%"), seeds="over seeds", support=("texts", ",")
    )
    spec = matrix(rows, down=labels, across=[cell.name for cell in columns], tooltip=tooltip)
    which = "each class"
    if left := len(results.labels) - len(labels):
        which = f"the {len(labels)} classes with the highest mean error rate ({f.count(left)} others are left out)"
    description = (
        f"Matrix: the share of each class's texts that each method got wrong, for {which}; the stronger the colour, "
        "the more."
    )
    if left := len(methods) - len(columns):
        description += f" {f.count(left)} methods that scored lower are left out."
    title = "Error rate by class and method"
    if len(labels) < len(results.labels):
        title += f": the {len(labels)} hardest classes"
    return Chart("errors-by-class", title, description, spec)


def tests(cell: Cell) -> list[Scores]:
    """The test scores of a method's runs."""
    return [run.test for run in cell.runs if run.test is not None]


def scores_table(index: int, cell: Cell, most: int) -> Table:
    """Precision, recall and F1 of a method's classes, means over its seeds; of more than `most` those of lowest F1."""
    found = tests(cell)
    labels = classes.lowest(found, most)
    rows = [
        {"label": label, "support": found[0].per_class[label].support}
        | {
            name: float(np.mean([getattr(test.per_class[label], name) for test in found]))
            for name in ("precision", "recall", "f1")
        }
        for label in labels
    ]
    caption = f"{cell.name}, by class{', means over seeds' if len(found) > 1 else ''}"
    if left := len(found[0].per_class) - len(labels):
        caption += f": the {len(labels)} with the lowest F1; {f.count(left)} others are in results.json"
    return Table(f"classes-{f.slug(index, cell.name)}", caption, COLUMNS, rows, small=True)


def confusion(index: int, cell: Cell, labels: list[str], most: int) -> Chart:
    """The confusion matrix of a method, its seeds added up, of at most so many classes."""
    added = np.sum([np.asarray(test.confusion) for test in tests(cell)], axis=0)
    shown = classes.most_confused(added.tolist(), most)
    rows = []
    for i in shown:
        total = max(1, int(added[i].sum()))
        rows += [
            {
                "true": labels[i],
                "predicted": labels[j],
                "count": int(added[i, j]),
                "share": chart.short(int(added[i, j]) / total),
            }
            for j in shown
        ]
    tooltip = chart.tips(true="true", predicted="predicted", count=("texts", ","), share=("of the true label", ".1%"))
    right, texts = int(added.trace()), int(added.sum())
    of = f", its {len(tests(cell))} seeds added up" if len(tests(cell)) > 1 else ""
    description = (
        f"Confusion matrix of {cell.name}{of}: {f.count(right)} of {f.count(texts)} on the diagonal. "
        "Colour: the share of the true label."
    )
    if len(shown) < len(labels):
        inside = int(added[np.ix_(shown, shown)].sum() - added[shown, shown].sum())
        description += (
            f" Of {f.count(len(labels))} classes, the {len(shown)} in the most frequent confusions are shown, with "
            f"{f.count(inside)} of the {f.plural(texts - right, 'error')}."
        )
    spec = categories.heatmap(rows, labels=[labels[i] for i in shown], tooltip=tooltip)
    return Chart(f"confusion-{f.slug(index, cell.name)}", cell.name, description, spec, small=True)
