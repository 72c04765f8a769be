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
from thriftune.analysis.findings.errors import hard_labels
from thriftune.analysis.findings.runs import Cell, depends
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.store import Results

TITLE = "Labels of errors"
QUESTION = "On which labels do the methods err, and what do they predict instead?"

LABELS_SHOWN = 15
"""Those with the most errors."""
METHODS = 16
"""Columns of the matrices: the methods that scored highest."""
LISTED = 6
"""Labels whose rates a sentence lists."""
FEWEST = 10
"""Errors; with fewer, shares of them say next to nothing."""
WORTH, PREFERRED = 0.1, 1.2
"""A label is named where so large a share of the errors is given it, and so many times what an even share would be."""
NAMED = 4
"""Labels that the sentence on predictions names."""


@dataclass(frozen=True)
class Wrong:
    """The predictions of a method, its seeds together."""

    name: str
    seeds: int
    confusion: Ints
    """Texts by true and by predicted label, summed over the seeds: (labels, labels)."""

    def counts(self, by: str) -> Ints:
        """Errors by true or by predicted label, shape (labels,)."""
        return np.asarray(self.confusion.sum(axis=1 if by == "true" else 0) - np.diag(self.confusion))

    def shares(self, by: str) -> Floats:
        """The error rate on each true label's texts, or the share of the errors by predicted label; nan without any."""
        of = self.confusion.sum(axis=1) if by == "true" else np.full(len(self.confusion), self.errors)
        return np.asarray(np.where(of > 0, self.counts(by) / np.maximum(of, 1), np.nan), dtype=np.float64)

    @property
    def errors(self) -> int:
        """Of all seeds."""
        return int(self.counts("true").sum())


CAPTIONS = {
    "true": "Each method's error rate on the texts of each label.",
    "predicted": "The labels that each method gave by mistake, as shares of its errors.",
}


def build(results: Results) -> Panel | NotApplicable:
    """The error rate of every method by true label, and its errors by predicted label."""
    ranked = [each.cell for each in decide(results).standings]
    every = [_wrong(cell) for cell in ranked if any(depends(run) for run in cell.runs)]
    wrong = [each for each in every if each.errors]
    if not every:
        return NotApplicable("No run learned, so its errors follow no label.")
    if not wrong:
        return NotApplicable("No run made an error on the test texts.")
    tables = [_table(results.labels, wrong, by) for by in CAPTIONS]
    charts = [_chart(results.labels, wrong, by) for by in CAPTIONS]
    notes = []
    if len(results.labels) > LABELS_SHOWN:
        notes.append(f"The {LABELS_SHOWN} labels with the most errors are shown, of {len(results.labels)}.")
    return Panel([*_hardest(results), *_predicted(results.labels, wrong)], tables, charts, notes, open_charts=1)


def _wrong(cell: Cell) -> Wrong:
    confusions = [np.array(run.test.confusion, dtype=np.int64) for run in cell.runs if run.test is not None]
    return Wrong(cell.name, len(confusions), np.sum(confusions, axis=0))


def _shown(wrong: list[Wrong], by: str) -> list[int]:
    """Ids of the labels with the most errors, the most first."""
    totals = np.sum([each.counts(by) for each in wrong], axis=0)
    return [int(i) for i in np.argsort(-totals, kind="stable")[:LABELS_SHOWN]]


def _hardest(results: Results) -> list[str]:
    """Labels far harder than the others, or that there are none; error rates are means over the methods."""
    found = hard_labels.label_errors(results)
    if not any(each.rate for each in found):
        return []
    hard = hard_labels.sentences(results)
    if len(found) <= 2 and hard:
        return hard
    if len(found) <= LISTED:
        rates = f"Error rate by true label: {f.listing([f'{each.label} {f.percent(each.rate)}' for each in found])}."
    else:
        first, last = found[0], found[-1]
        rates = f"Error rates of the {len(found)} labels lie between {f.percent(last.rate)} ({last.label}) and "
        rates += f"{f.percent(first.rate)} ({first.label})."
    if hard:
        return [*hard, rates] if len(found) <= LISTED else hard
    return [f"No label is far harder than the others beyond chance. {rates}"]


def _predicted(labels: list[str], wrong: list[Wrong]) -> list[str]:
    """What is predicted instead: the most frequent confusion, and the label that is given by mistake most often."""
    enough = [each for each in wrong if each.errors >= FEWEST * each.seeds]
    if not enough or len(labels) == 2:
        return []
    return [*_confusion(labels, enough), *_given_most(labels, enough)]


def _confusion(labels: list[str], wrong: list[Wrong]) -> list[str]:
    """The two labels that are confused in the most texts, averaged over the methods."""
    whole = np.sum([each.confusion / each.seeds for each in wrong], axis=0) / len(wrong)
    texts = whole.sum(axis=1)
    np.fill_diagonal(whole, 0)
    true, predicted = np.unravel_index(int(whole.argmax()), whole.shape)
    if whole.max() < FEWEST / 2:
        return []
    what = f"{f.share(float(whole.max() / texts[true]))} of the texts labelled {labels[true]} are taken for "
    average = ", on average over the methods" if len(wrong) > 1 else ""
    return [f"The most frequent confusion: {what}{labels[predicted]}{average}."]


def _given_most(labels: list[str], wrong: list[Wrong]) -> list[str]:
    """The label that most errors are given, method by method; nothing where the errors of most methods prefer none."""
    tops: dict[str, list[tuple[str, float]]] = {}
    for each in wrong:
        numbers = each.counts("predicted")
        share = float(numbers.max() / numbers.sum())
        if share >= max(WORTH, PREFERRED / len(labels)):
            tops.setdefault(labels[int(numbers.argmax())], []).append((each.name, share))
    if 2 * sum(map(len, tops.values())) < len(wrong):
        return []
    if len(tops) == 1 and sum(map(len, tops.values())) == len(wrong):
        ((label, found),) = tops.items()
        span = f.percent_range(min(share for _, share in found), max(share for _, share in found), 0)
        who, whose = (f"{found[0][0]} gives", "its") if len(found) == 1 else ("All methods give", "their")
        return [f"{who} {label} by mistake most often: {span} of {whose} errors."]
    most = sorted(tops, key=lambda label: -len(tops[label]))
    parts = [f"{label} ({_shares(tops[label])})" for label in most]
    return [f"Labels given by mistake most often, as shares of a method's errors: {f.listing(parts, NAMED)}."]


def _shares(found: list[tuple[str, float]]) -> str:
    return f.listing([f"{name} {f.percent(share, 0)}" for name, share in found], NAMED)


def _table(labels: list[str], wrong: list[Wrong], by: str) -> Table:
    shown = _shown(wrong, by)
    seeds = [Column("seeds", "Seeds", "int")] if any(each.seeds > 1 for each in wrong) else []
    errors = Column("wrong", "Errors per seed" if seeds else "Errors", "number" if seeds else "int")
    columns = [Column("method", "Method"), *seeds, errors, *numbered([labels[i] for i in shown], "percent", "l")]
    rows = []
    for each in wrong:
        number = each.errors / each.seeds
        row: dict[str, Any] = {"method": each.name, "seeds": each.seeds}
        row |= {"wrong": int(number) if number.is_integer() else number}
        for place, share in enumerate(each.shares(by)[shown]):
            row |= {f"l{place}_reason": "no test texts"} if np.isnan(share) else {f"l{place}": float(share)}
        rows.append(row)
    return Table(f"errors-by-{by}", CAPTIONS[by], columns, rows)


def _chart(labels: list[str], wrong: list[Wrong], by: str) -> Chart:
    shown = _shown(wrong, by)
    rows = [
        {
            "name": labels[i],
            "column": each.name,
            "share": chart.short(float(each.shares(by)[i])),
            "text": f.percent(float(each.shares(by)[i]), 0),
            "count": int(each.counts(by)[i]),
        }
        for each in wrong[:METHODS]
        for i in shown
        if not np.isnan(each.shares(by)[i])
    ]
    share = ("error rate" if by == "true" else "share of its errors", ".1%")
    tooltip = chart.tips(column="method", name=f"{by} label", share=share, count=("errors", ","))
    across, down = [each.name for each in wrong[:METHODS]], [labels[i] for i in shown]
    spec = matrix(rows, down=down, across=across, tooltip=tooltip)
    title = "Error rate by true label" if by == "true" else "Errors by predicted label"
    what = f"{CAPTIONS[by][0].lower()}{CAPTIONS[by][1:-1]}"
    description = f"Matrix: {what}, the most errors first; the stronger the colour, the more."
    return Chart(f"errors-by-{by}", title, description, spec)
