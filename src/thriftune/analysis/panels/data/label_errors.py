"""Test labels that are likely wrong, by confident learning over the predictions of all good runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.runs import comparable
from thriftune.analysis.findings.texts import text_cells, text_columns
from thriftune.analysis.statistics.basics import Floats
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Likely label errors"
QUESTION = "Which test texts may be labelled wrongly?"

NEAR = 0.05
"""A run whose accuracy is further below the best takes too many of its own errors for label errors."""
VOTES = 0.75
"""The share of the runs that must flag a text; fewer votes list more right labels, all of ten runs miss too many."""
MOST = 0.2
"""Runs that would call more of the labels wrong than this are too weak to judge labels."""
ROWS = 100


@dataclass(frozen=True)
class Found:
    """What confident learning says about every test text."""

    flagged: NDArray[np.bool_]
    """Flagged by the predictions of at least three quarters of the runs, (texts,)."""
    quality: Floats
    """Mean probability of the given label, (texts,): the lower, the likelier an error."""
    suggested: NDArray[np.int64]
    """The label that the runs find most probable on average, (texts,)."""
    agreement: Floats
    """The share of the runs that predict it, (texts,)."""


def build(results: Results) -> Panel | NotApplicable:
    """The flagged texts, likeliest error first."""
    runs = good_runs(results)
    read = [each for each in (predictions.read(results, run) for run in runs) if each.probabilities is not None]
    if not read:
        return NotApplicable("No fine-tuned run that learned gives probabilities.")
    label = read[0].label
    found = find(label, [each.probabilities for each in read if each.probabilities is not None])
    if found.flagged.mean() > MOST:
        return NotApplicable(
            f"The runs err too often to judge labels: by their predictions {f.percent(float(found.flagged.mean()), 0)} "
            "of the test labels would be wrong."
        )
    order = np.flatnonzero(found.flagged)
    order = order[np.argsort(found.quality[order], kind="stable")]
    tables = [_table(results, found, label, order[:ROWS], len(order))] if len(order) else []
    statistics = {
        "runs": [run.run_id for run in runs],
        "flagged": [
            {
                "example": results.test["example"][i],
                "label": results.labels[label[i]],
                "predicted": results.labels[found.suggested[i]],
                "probability_of_label": float(found.quality[i]),
            }
            for i in order.tolist()
        ],
    }
    sentences = _sentences(results, found, label, order, len(read))
    return Panel(sentences, tables, notes=_notes(runs), statistics=statistics)


def good_runs(results: Results) -> list[RunRecord]:
    """The fine-tuned runs that learned, but for those more than 5 points below the best."""
    runs = [(run, run.test.accuracy) for run in comparable(results) if run.test is not None]
    best = max((accuracy for _, accuracy in runs), default=0.0)
    return [run for run, accuracy in runs if accuracy >= best - NEAR]


def find(label: NDArray[np.int64], probabilities: list[Floats]) -> Found:
    """Confident learning (Northcutt, Jiang and Chuang, 2021; cleanlab) on each run's predictions.

    `label` is (texts,), each of `probabilities` (texts, classes). cleanlab estimates from one run's predictions how
    many labels are wrong, and flags so many texts whose label that run finds least probable.
    """
    from cleanlab.filter import find_label_issues

    flags = [
        find_label_issues(label, _whole(each), filter_by="low_self_confidence", n_jobs=1) for each in probabilities
    ]
    mean = np.mean(probabilities, axis=0)
    suggested = mean.argmax(axis=1)
    return Found(
        flagged=np.mean(flags, axis=0) >= VOTES,
        quality=mean[np.arange(len(label)), label],
        suggested=suggested,
        agreement=np.mean([each.argmax(axis=1) == suggested for each in probabilities], axis=0),
    )


def _whole(probabilities: Floats) -> Floats:
    """Rows that add up to one: rounding on disk must not trip cleanlab's check."""
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


def _sentences(
    results: Results, found: Found, label: NDArray[np.int64], order: NDArray[np.int64], runs: int
) -> list[str]:
    total = len(label)
    if not len(order):
        return ["By the runs' predictions cleanlab flags no test text as likely labelled wrongly."]
    votes = ceil(VOTES * runs)
    whose = "one run" if runs == 1 else f"all {runs} runs asked"
    if votes < runs:
        whose = f"at least {votes} of the {runs} runs asked"
    out = [
        f"By the predictions of {whose} cleanlab flags {f.count(len(order))} of {f.count(total)} test texts "
        f"({f.percent(len(order) / total)}) as likely labelled wrongly. How many of them truly are is not known: "
        "look at them, likeliest first."
    ]
    pairs = list(zip(label[order].tolist(), found.suggested[order].tolist(), strict=True))
    (given, other), count = max(((pair, pairs.count(pair)) for pair in dict.fromkeys(pairs)), key=lambda item: item[1])
    names = results.labels
    if given != other:
        out.append(
            f"The most frequent doubt: labelled {names[given]}, predicted {names[other]} "
            f"({f.percent(count / len(pairs), 0)} of the flagged)."
        )
    return out


def _table(results: Results, found: Found, label: NDArray[np.int64], rows: NDArray[np.int64], total: int) -> Table:
    names = results.labels
    columns = [
        Column("example", "Example"),
        *text_columns(results),
        *of_kind("text", label="Label", suggested="Predicted"),
        Column("quality", "Probability of the label", "number"),
        Column("agreement", "Runs that predict so", "percent"),
    ]
    texts = text_cells(results, results.test, rows)
    cells: list[dict[str, Any]] = [
        text
        | {
            "label": names[label[i]],
            "suggested": names[found.suggested[i]],
            "quality": float(found.quality[i]),
            "agreement": float(found.agreement[i]),
        }
        for text, i in zip(texts, rows.tolist(), strict=True)
    ]
    shown = f"The {f.count(len(cells))} likeliest of {f.count(total)}" if total > len(cells) else "All"
    return Table(
        "label-errors", f"{shown} flagged test texts, lowest probability of their label first.", columns, cells
    )


def _notes(runs: list[RunRecord]) -> list[str]:
    return [
        f"Runs asked: {f.listing([run.name for run in runs])} (fine-tuned, learned, at most {100 * NEAR:.0f} points "
        "below the best). No run trained on these texts. A text is flagged where cleanlab's confident learning "
        "(low self-confidence) flags it for at least three quarters of them; models of one kind share errors, so that "
        "hard but rightly labelled texts are flagged too.",
        "How good such a list can be: with 5% of the labels of sentence pairs changed on purpose, the list from three "
        "small encoders held 72% of them, and 32% of the list were changed ones "
        "(benchmarks/results/label_errors.json).",
    ]
