"""Accuracy on labelled files that `thriftune evaluate` scored after the study, and the drop from the study's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.linked import coded
from thriftune.analysis.statistics.basics import Floats, wilson
from thriftune.analysis.statistics.drops import Drop, drop_between, families, paired_drop
from thriftune.results.record import RunRecord
from thriftune.results.scores import Evaluated, FurtherTest, text_column
from thriftune.results.store import Results

TITLE = "Further test sets"
QUESTION = "How does a run do on files that it was evaluated on afterwards?"

COLUMNS = [
    Column("run", "Run"),
    Column("accuracy", "Accuracy", "percent", higher_is_better=True),
    Column("interval", "95% interval"),
    Column("macro_f1", "Macro F1", "percent", higher_is_better=True),
    Column("reference", "Accuracy on test", "percent"),
    Column("drop", "Drop, points", "points"),
    *of_kind("text", drop_interval="95% interval of the drop"),
    Column("rows", "Rows", "int"),
]


@dataclass(frozen=True)
class Line:
    """One run on one of the files."""

    scores: Evaluated
    reference: float
    drop: Drop
    shared: int | None
    """Rows that share a text with the study's test; None where the two count as unrelated."""


def build(results: Results) -> Panel | NotApplicable:
    """A table for each file: accuracy with its interval, and the drop from the study's test texts."""
    tests = results.further_tests
    if not tests:
        return NotApplicable("No file was scored with thriftune evaluate after the study.", quiet=True)
    by_id = {run.run_id: run for run in results.done}
    found = [
        (test, [_line(results, test, each, by_id[each.run_id]) for each in test.runs if each.run_id in by_id])
        for test in tests
    ]
    return Panel(
        [_sentence(test, line) for test, lines in found for line in lines],
        [_table(index, test, lines) for index, (test, lines) in enumerate(found)],
        notes=_notes(found),
        statistics={"sets": [_statistics(test, lines) for test, lines in found]},
    )


def _line(results: Results, test: FurtherTest, scores: Evaluated, run: RunRecord) -> Line:
    frame = results.store.evaluated_rows(test.name, run.run_id)
    right, before = _right(frame), _right(results.predictions(run))
    stored = {text_column(name): name for name in results.study.profile.text_columns}
    columns = [name for each, name in stored.items() if each in frame.columns]
    texts = frame.select(pl.col(text_column(name)).alias(name) for name in columns)
    groups = families(*coded(results.test, texts, columns)) if columns else None
    if groups is not None:
        drop = paired_drop(before, right, groups)
    else:
        ends = (wilson(int(part.sum()), len(part)) for part in (before, right))
        drop = drop_between(float(before.mean()), next(ends), float(right.mean()), next(ends))
    return Line(scores, float(before.mean()), drop, None if groups is None else groups.shared_texts)


def _right(frame: pl.DataFrame) -> Floats:
    """1 where the prediction is the label, (rows,)."""
    return np.asarray((frame["label"] == frame["predicted"]).to_numpy(), dtype=np.float64)


def _sentence(test: FurtherTest, line: Line) -> str:
    scores, drop = line.scores, line.drop
    text = (
        f"{test.name}: {scores.run} is right on {f.percent(scores.accuracy)} of {f.plural(scores.rows, 'row')} "
        f"(95% {f.percent_range(*scores.accuracy_interval_95)})"
    )
    if drop.low <= 0 <= drop.high:
        return f"{text}, not shown to differ from its {f.percent(line.reference)} on the study's test texts."
    way = "less" if drop.value > 0 else "more"
    ends = sorted((abs(drop.low), abs(drop.high)))
    points = f"{100 * abs(drop.value):.1f} points {way} (95% {100 * ends[0]:.1f} to {100 * ends[1]:.1f})"
    return f"{text}: {points} than its {f.percent(line.reference)} on the study's test texts."


def _table(index: int, test: FurtherTest, lines: list[Line]) -> Table:
    rows: list[dict[str, Any]] = [
        {
            "run": line.scores.run,
            "accuracy": line.scores.accuracy,
            "interval": f.percent_range(*line.scores.accuracy_interval_95),
            "macro_f1": line.scores.macro_f1,
            "reference": line.reference,
            "drop": line.drop.value,
            "drop_interval": f"{100 * line.drop.low:.1f} to {100 * line.drop.high:.1f}".replace("-", "−"),
            "rows": line.scores.rows,
        }
        for line in lines
    ]
    return Table(f"further-{f.slug(index, test.name)}", f"{test.name} ({_file(test)}).", COLUMNS, rows)


def _file(test: FurtherTest) -> str:
    return "standard input" if test.file == "-" else test.file.replace("\\", "/").rsplit("/", 1)[-1]


def _notes(found: list[tuple[FurtherTest, list[Line]]]) -> list[str]:
    notes = []
    for test, lines in found:
        line = lines[0]
        how = (
            f"{f.count(line.shared)} of its {f.plural(line.scores.rows, 'row')} share a text with the study's test, so "
            "the drop is paired (a bootstrap over texts that belong together)"
            if line.shared is not None
            else "its texts are others than those of the study's test; the drop is Newcombe's (1998)"
        )
        left = "; ".join(f"{f.count(number)} {reason}" for reason, number in line.scores.not_scored.items())
        seen = line.scores.seen
        flatters = f" {f.count(seen)} of them were trained on, word for word: the scores flatter." if seen else ""
        notes.append(f"{test.name}: {how}.{flatters}{f' Not scored: {left}.' if left else ''}")
    return [*notes, "Added by thriftune evaluate; the study's decision rests on its own test texts alone."]


def _statistics(test: FurtherTest, lines: list[Line]) -> dict[str, Any]:
    runs = [
        {
            "run": line.scores.run_id,
            "accuracy": line.scores.accuracy,
            "accuracy_interval_95": list(line.scores.accuracy_interval_95),
            "macro_f1": line.scores.macro_f1,
            "reference_accuracy": line.reference,
            "drop": line.drop.value,
            "drop_interval_95": [line.drop.low, line.drop.high],
            "paired": line.shared is not None,
        }
        for line in lines
    ]
    return {"name": test.name, "rows": lines[0].scores.rows, "runs": runs}
