"""The texts that the runs got wrong most confidently."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display import chart
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, numbered, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.errors.error_matrix import ErrorMatrix, error_matrix
from thriftune.analysis.statistics.basics import Floats
from thriftune.results.store import Results

TITLE = "Surest errors"
QUESTION = "Which texts were got wrong with the most confidence?"

SHOWN = 20
CHARACTERS = 240
"""Longer texts are cut."""
CERTAIN = 0.9


def build(results: Results) -> Panel | NotApplicable:
    """The texts with the largest lead of a wrong label over the true one, on average over the runs."""
    matrix = error_matrix(results)
    if matrix is None:
        return NotApplicable("No run learned, so no error was a confident one.")
    found = [predictions.read(results, run).probabilities for run in matrix.runs]
    leads = [lead(each, matrix.label) for each in found if each is not None]
    if not leads:
        return NotApplicable("No run gave probabilities.")
    mean = np.mean(leads, axis=0)
    order = np.argsort(-mean, kind="stable")[:SHOWN]
    order = order[mean[order] > 0]
    if not len(order):
        return NotApplicable("No wrong label leads the true one on any text.")
    rows = [_row(results, matrix, int(i), float(mean[i])) for i in order]
    columns = [
        *numbered(results.study.profile.text_columns, "text", "t"),
        *of_kind("text", true="True label", predicted="Predicted", wrong="Runs wrong"),
        Column("lead", "Mean lead", "number"),
    ]
    caption = "Texts by the lead of a wrong label over the true one, averaged over the runs."
    notes = [
        "The lead is the largest probability of a wrong label minus the true label's; below 0 where a run was right. "
        "Look here for labels that are wrong, and for texts that fool every method."
    ]
    statistics = {
        "runs": [run.run_id for run in matrix.runs],
        "texts_with_lead_above_0.9": int((mean > CERTAIN).sum()),
        "examples": [{"example": results.test["example"][int(i)], "mean_lead": float(mean[i])} for i in order],
    }
    table = Table("surest-errors", caption, columns, rows)
    return Panel([_sentence(matrix, mean)], [table], [], notes, statistics)


def lead(probabilities: Floats, label: NDArray[np.int64]) -> Floats:
    """Largest probability of a wrong label minus the true label's, from -1 to 1, shape (texts,)."""
    every = np.arange(len(label))
    others = probabilities.copy()
    others[every, label] = -np.inf
    return np.asarray(others.max(axis=1, initial=0.0) - probabilities[every, label])


def _row(results: Results, matrix: ErrorMatrix, i: int, mean: float) -> dict[str, Any]:
    texts = [results.test[name][i] for name in results.study.profile.text_columns]
    row: dict[str, Any] = {f"t{j}": _cut("" if text is None else str(text)) for j, text in enumerate(texts)}
    wrong = matrix.wrong[:, i]
    taken = np.bincount(matrix.predicted[wrong, i], minlength=len(results.labels))
    row |= {"true": results.labels[int(matrix.label[i])], "predicted": results.labels[int(taken.argmax())]}
    return row | {"wrong": f"{int(wrong.sum())} of {len(wrong)}", "lead": chart.short(mean)}


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1].rstrip()}…"


def _sentence(matrix: ErrorMatrix, mean: Floats) -> str:
    certain = int((mean > CERTAIN).sum())
    how = "" if len(matrix.runs) == 1 else f"on average over the {len(matrix.runs)} runs, "
    widest = f"the widest lead is {float(mean.max()):.2f}"
    if not certain:
        text = f"{how}no wrong label leads the true one by more than {CERTAIN}; {widest}."
    else:
        verb = "has" if certain == 1 else "have"
        texts = f"{f.plural(certain, 'text')} of {len(mean):,}"
        text = f"{how}{texts} {verb} a wrong label that leads the true one by more than {CERTAIN}; {widest}."
    return f"{text[0].upper()}{text[1:]}"
