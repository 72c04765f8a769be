"""Test texts that every run gets wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.predictions import Predictions
from thriftune.analysis.findings.runs import comparable
from thriftune.analysis.findings.texts import text_cells, text_columns
from thriftune.results.store import Results

TITLE = "Wrong in every run"
QUESTION = "Which test texts does every run get wrong?"

ROWS = 100


def build(results: Results) -> Panel | NotApplicable:
    """How many there are, how many there would be if errors were independent, and the texts."""
    runs = comparable(results)
    if len(runs) < 2:
        return NotApplicable("Fewer than two fine-tuned runs learned.")
    read = [predictions.read(results, run) for run in runs]
    wrong = np.stack([each.wrong for each in read])
    same = np.all([each.predicted == read[0].predicted for each in read], axis=0)
    rows = np.flatnonzero(wrong.all(axis=0))
    sure = _confidence(read)
    if sure is not None:
        rows = rows[np.argsort(-sure[rows], kind="stable")]
    tables = [_table(results, read, rows, same, sure)] if len(rows) else []
    notes = [
        f"Runs: {f.listing([run.name for run in runs], 10)} (fine-tuned, learned). Independent: the product of the "
        "runs' error rates. Texts that all models fail on are hard, ambiguous or labelled wrongly."
    ]
    statistics = {
        "runs": [run.run_id for run in runs],
        "expected_if_independent": float(np.prod(wrong.mean(axis=1))),
        "same_label": int(same[rows].sum()),
        "examples": results.test["example"].gather(rows.tolist()).to_list(),
    }
    return Panel(_sentences(results, read, wrong, rows, same), tables, notes=notes, statistics=statistics)


def _confidence(read: list[Predictions]) -> NDArray[np.float64] | None:
    """The runs' mean probability of the label that each of them predicted, (texts,)."""
    known = [each.probabilities.max(axis=1) for each in read if each.probabilities is not None]
    return np.mean(known, axis=0) if known else None


def _sentences(
    results: Results,
    read: list[Predictions],
    wrong: NDArray[np.bool_],
    rows: NDArray[np.int64],
    same: NDArray[np.bool_],
) -> list[str]:
    runs, total = wrong.shape
    chance = float(np.prod(wrong.mean(axis=1)))
    few = f.percent(chance) if chance >= 5e-4 else "less than 0.1%"
    out = [
        f"{f.count(len(rows))} of {f.count(total)} test texts ({f.percent(len(rows) / total)}) are wrong in all "
        f"{runs} runs that learned; with independent errors it would be {few}."
    ]
    if len(rows):
        counts = np.bincount(read[0].label[rows], minlength=len(results.labels))
        top = int(counts.argmax())
        base = float((read[0].label == top).mean())
        out.append(
            f"In {f.percent(float(same[rows].mean()), 0)} of them all runs predict the same wrong label. Most are "
            f"labelled {results.labels[top]}: {f.percent(counts[top] / len(rows), 0)} of them, "
            f"{f.percent(base, 0)} of all test texts."
        )
    return out


def _table(
    results: Results,
    read: list[Predictions],
    rows: NDArray[np.int64],
    same: NDArray[np.bool_],
    sure: NDArray[np.float64] | None,
) -> Table:
    names = results.labels
    columns = [
        Column("example", "Example"),
        *text_columns(results),
        *of_kind("text", label="Label", predicted="Predicted"),
        Column("sure", "Mean confidence", "percent"),
    ]
    shown = rows[:ROWS]
    cells: list[dict[str, Any]] = []
    for text, i in zip(text_cells(results, results.test, shown), shown.tolist(), strict=True):
        labels = dict.fromkeys(names[each.predicted[i]] for each in read)
        row = {"label": names[read[0].label[i]], "predicted": " or ".join(labels)}
        cells.append(text | row | {"sure": None if sure is None else float(sure[i])})
    first = f"The {f.count(len(cells))} most confident of {f.count(len(rows))}" if len(rows) > len(cells) else "All"
    caption = f"{first} texts that every run gets wrong; {f.count(int(same[rows].sum()))} in the same way."
    return Table("wrong-in-every-run", caption, columns, cells)
