"""How much of the accuracy needs only a part of the text: methods that see a part, beside those that see all."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import predictions
from thriftune.analysis.findings.groups import groups_of, interval, share
from thriftune.analysis.findings.runs import above_majority, is_baseline, majority_share
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "What part of the text is needed"
QUESTION = "How much of the accuracy comes from one part of the text alone?"


def build(results: Results) -> Panel | NotApplicable:
    """The accuracy of every method that sees a part, and everyone's on the texts that it gets right and wrong."""
    columns = results.study.profile.text_columns
    if len(columns) < 2:
        return NotApplicable("The texts have one column, so no method can see a part.")
    partial = {run.run_id: seen for run in results.done if (seen := _seen(run, columns)) != columns}
    parts = [run for run in results.done if run.run_id in partial]
    whole = [run for run in results.done if run.run_id not in partial and above_majority(_test(run))]
    if not parts:
        return NotApplicable(
            "No method sees one text column alone; tfidf with text: COLUMN would say how far that column goes."
        )
    sentences = [sentence for run in parts for sentence in _sentences(results, run, partial[run.run_id], whole)]
    tables = [_scores(results, parts, partial, whole)]
    split = [run for run in parts if whole and above_majority(_test(run))]
    tables += [_split(results, i, run, whole) for i, run in enumerate(split)]
    notes = [
        "A text that one column alone gives away may be easy for reasons that have nothing to do with the task: the "
        "accuracy on the texts that such a method gets wrong is the harder test (Gururangan et al., 2018)."
    ]
    statistics = {
        "runs": [
            {"run": run.run_id, "sees": partial.get(run.run_id, columns), "above_majority_class": _above(run)}
            for run in [*parts, *whole]
        ],
        "accuracy_where_a_part_is_right_or_wrong": [
            {"part": part.run_id} | _split_statistics(results, part, run) for part in split for run in whole
        ],
    }
    return Panel(sentences, tables, notes=notes, statistics=statistics)


def _above(run: RunRecord) -> float:
    """Accuracy minus the majority class share."""
    return float(_test(run).accuracy - majority_share(_test(run)))


def _split_statistics(results: Results, part: RunRecord, run: RunRecord) -> dict[str, Any]:
    hard = predictions.read(results, part).wrong
    row = _split_row(run, predictions.read(results, run).wrong, hard, groups_of(results))
    out: dict[str, Any] = {"run": run.run_id, "where_right": row["easy"], "where_wrong": row["hard"]}
    return out | {f"{name}_reason": "no such text" for name in ("where_right", "where_wrong") if out[name] is None}


def _seen(run: RunRecord, columns: list[str]) -> list[str]:
    """The text columns that the run's method saw."""
    chosen = run.method.get("text")
    return columns if chosen is None else [column for column in columns if column in chosen]


def _test(run: RunRecord) -> Any:
    assert run.test is not None
    return run.test


def _sentences(results: Results, run: RunRecord, seen: list[str], whole: list[RunRecord]) -> list[str]:
    test, columns = _test(run), results.study.profile.text_columns
    floor, accuracy = majority_share(test), test.accuracy
    unseen = f.listing([column for column in columns if column not in seen])
    text = (
        f"{run.name} sees the {f.listing(seen)} alone and classifies {f.percent(accuracy)} of the test texts correctly"
    )
    if not above_majority(test):
        return [f"{text}, which is not above the majority class ({f.percent(floor)}): the {unseen} is needed."]
    out = [
        f"{text} (95% interval {f.percent_range(*interval(results, run))}; the majority class has {f.percent(floor)})."
    ]
    best = max(whole, key=lambda other: _test(other).accuracy, default=None)
    others = [other for other in (_counterpart(run, whole), best) if other is not None and other is not run]
    for other in dict.fromkeys(other.run_id for other in others):
        full = next(each for each in others if each.run_id == other)
        gain = _test(full).accuracy - floor
        if gain > 0:
            share = (accuracy - floor) / gain
            out.append(
                f"Of what {full.name} ({f.percent(_test(full).accuracy)}) gains over the majority class, "
                + (f"{f.percent(share, 0)} needs no {unseen}." if share < 1 else f"nothing needs the {unseen}.")
            )
    return out


def _counterpart(run: RunRecord, whole: list[RunRecord]) -> RunRecord | None:
    """The run of the same method and model that sees all of the text."""
    settings = {key: value for key, value in run.method.items() if key != "text"}
    same = [
        other
        for other in whole
        if {key: value for key, value in other.method.items() if key != "text"} == settings
        and (other.model, other.seed) == (run.model, run.seed)
    ]
    return same[0] if same else None


def _scores(results: Results, parts: list[RunRecord], partial: dict[str, list[str]], whole: list[RunRecord]) -> Table:
    columns = [
        *of_kind("text", run="Run", sees="Sees"),
        Column("accuracy", "Accuracy", "percent", higher_is_better=True),
        Column("interval", "95% interval"),
        Column("above", "Points above the majority class", "points"),
    ]
    rows = [
        {
            "run": run.name,
            "sees": ", ".join(partial.get(run.run_id, ["all"])),
            "accuracy": _test(run).accuracy,
            "interval": f.percent_range(*interval(results, run)),
            "above": _above(run),
        }
        for run in [*parts, *whole]
    ]
    return Table("partial-text", "Accuracy by what a method sees of the text.", columns, rows)


def _split(results: Results, index: int, part: RunRecord, whole: list[RunRecord]) -> Table:
    wrong = predictions.read(results, part).wrong
    columns = [
        Column("run", "Run"),
        Column("easy", f"Accuracy where {part.name} is right", "percent", higher_is_better=True),
        Column("hard", "Accuracy where it is wrong", "percent", higher_is_better=True),
        Column("interval", "95% interval where it is wrong"),
    ]
    rows = [_split_row(run, predictions.read(results, run).wrong, wrong, groups_of(results)) for run in whole]
    caption = (
        f"{f.count(int((~wrong).sum()))} test texts that {part.name} classifies correctly, and "
        f"{f.count(int(wrong.sum()))} that it does not."
    )
    return Table(f"without-{f.slug(index, part.name)}", caption, columns, rows)


def _split_row(
    run: RunRecord, wrong: NDArray[np.bool_], hard: NDArray[np.bool_], groups: Ints | None
) -> dict[str, Any]:
    right = ~wrong
    return {
        "run": run.name,
        "easy": float(right[~hard].mean()) if (~hard).any() else None,
        "hard": float(right[hard].mean()) if hard.any() else None,
        "interval": f.percent_range(*share(right[hard], None if groups is None else groups[hard])),
        "unranked": is_baseline(run),
    }
