"""Accuracy on robustness sets, and how much of it each method loses there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.groups import groups_of, set_groups, share
from thriftune.analysis.findings.linked import coded
from thriftune.analysis.findings.runs import Cell, above_majority, cells, is_baseline, learned
from thriftune.analysis.findings.training import AT, still
from thriftune.analysis.statistics.basics import Floats
from thriftune.analysis.statistics.drops import Drop, Families, drop_between, families, paired_drop
from thriftune.analysis.statistics.inference import Ints
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Robustness"
QUESTION = "How much accuracy does each method lose on robustness sets?"
TEST = "test"


@dataclass(frozen=True)
class Line:
    """One method on one robustness set."""

    cell: Cell
    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    reference: float
    """Accuracy on the set that it is compared with."""
    drop: Drop


@dataclass(frozen=True)
class Comparison:
    """One robustness set beside the one that it is compared with."""

    name: str
    texts: int
    reference: str
    groups: Families | None
    """None where the two sets have unrelated texts."""
    lines: list[Line]


def build(results: Results) -> Panel | NotApplicable:
    """One table for each set: accuracy, the drop from its reference, and a chart over all sets."""
    if not results.study.robustness:
        return NotApplicable("The study names no robustness sets.")
    compared = [each for each in _comparisons(results) if each.lines]
    if not compared:
        return NotApplicable("No finished run was scored on a robustness set.")
    budget = still(results, (line.cell for line in compared[0].lines))
    sentences = [sentence for each in compared for sentence in _sentences(each, bool(budget))] + budget
    tables = [_table(i, each) for i, each in enumerate(compared)]
    statistics = {"sets": [_statistics(each) for each in compared]}
    return Panel(sentences, tables, [_chart(compared)], _notes(results, compared), statistics)


def _statistics(compared: Comparison) -> dict[str, Any]:
    methods = [
        {
            "method": line.cell.name,
            "runs": [run.run_id for run in line.cell.runs],
            "accuracy": line.accuracy,
            "macro_f1": line.macro_f1,
            "reference_accuracy": line.reference,
            "drop": line.drop.value,
            "drop_interval_95": [line.drop.low, line.drop.high],
        }
        for line in compared.lines
    ]
    paired = compared.groups is not None
    return {"name": compared.name, "reference": compared.reference, "paired": paired, "methods": methods}


def _comparisons(results: Results) -> list[Comparison]:
    found: list[Comparison] = []
    for name, profile in results.study.robustness.items():
        if not results.robustness_runs(name):
            continue
        reference, groups = _reference(results, name, [each.name for each in found])
        shared = [results.robustness_runs(each) for each in (name, reference) if each != TEST]
        ids = set.intersection(*({run.run_id for run in runs} for runs in shared))
        group = cells(run for run in results.done if run.run_id in ids)
        lines = [_line(results, cell, name, reference, groups) for cell in group]
        found.append(Comparison(name, profile.rows, reference, groups, lines))
    return found


def _reference(results: Results, name: str, earlier: list[str]) -> tuple[str, Families | None]:
    """The set whose texts this one's belong to, of the test texts and the sets before it; else the test texts."""
    texts = results.robustness(name)
    best: tuple[str, Families | None] = TEST, None
    for other in [TEST, *earlier]:
        frame = results.test if other == TEST else results.robustness(other)
        groups = families(*coded(frame, texts, _linking(results, frame, texts)))
        if groups is not None and (best[1] is None or groups.shared_texts > best[1].shared_texts):
            best = other, groups
    return best


def _linking(results: Results, *frames: pl.DataFrame) -> list[str]:
    """The columns whose equal values make texts belong together: texts, and groups where both sets have them."""
    found, columns = results.study.profile.groups, results.study.profile.text_columns
    grouped = found is not None and all(
        found.stored_as in frame.columns and not frame[found.stored_as].null_count() for frame in frames
    )
    return [*dict.fromkeys([*columns, found.stored_as])] if found is not None and grouped else columns


def _groups(results: Results, name: str) -> Ints | None:
    return groups_of(results) if name == TEST else set_groups(results, name)


def _line(results: Results, cell: Cell, name: str, reference: str, groups: Families | None) -> Line:
    right, before = (_right(results, cell.runs, each) for each in (name, reference))
    ends = share(right, _groups(results, name))
    if groups is None:
        before_ends = share(before, _groups(results, reference))
        drop = drop_between(float(before.mean()), before_ends, float(right.mean()), ends)
    else:
        drop = paired_drop(before, right, groups)
    macro_f1 = float(np.mean([run.robustness[name].macro_f1 for run in cell.runs]))
    return Line(cell, float(right.mean()), ends, macro_f1, float(before.mean()), drop)


def _right(results: Results, runs: list[RunRecord], name: str) -> Floats:
    """The share of the runs that classified each text correctly, (texts,)."""
    frames = [results.predictions(run, name).select(pl.col("label") == pl.col("predicted")) for run in runs]
    return np.asarray(np.mean([frame.to_series().to_numpy() for frame in frames], axis=0, dtype=np.float64))


def _sentences(compared: Comparison, still: bool) -> list[str]:
    lines = [line for line in compared.lines if all(learned(run) for run in line.cell.runs)]
    tuned = [line for line in lines if not is_baseline(line.cell.runs[0])]
    if not tuned:
        return [f"{compared.name}: no fine-tuned run that learned was scored on it."]
    accuracies = [line.accuracy for line in tuned]
    where = "the test texts" if compared.reference == TEST else compared.reference
    who = tuned[0].cell.name if len(tuned) == 1 else f"the {len(tuned)} fine-tuned methods"
    verb = "classifies" if len(tuned) == 1 else "classify"
    text = (
        f"{compared.name}: {who} {verb} {f.percent_range(min(accuracies), max(accuracies))} of its "
        f"{f.count(compared.texts)} texts correctly, {_difference(tuned)} on {where}."
    )
    return [" ".join([text, *_extremes(tuned, still)]), *_lost(compared, tuned)]


def _difference(lines: list[Line]) -> str:
    drops = [100 * line.drop.value for line in lines]
    low, high = min(drops), max(drops)
    if low >= 0 or high <= 0:
        span = f.percent_range(min(abs(low), abs(high)) / 100, max(abs(low), abs(high)) / 100).removesuffix("%")
        return f"{span} points {'less' if low >= 0 else 'more'} than"
    return f"from {abs(low):.1f} points more to {high:.1f} points less than"


def _extremes(lines: list[Line], still: bool) -> list[str]:
    if len(lines) < 2:
        return [f"The 95% interval of its loss: {_span(lines[0].drop)} points."]
    ranked = sorted(lines, key=lambda line: line.drop.value)
    least, most = ranked[0], ranked[-1]
    apart = "their intervals do not overlap" if least.drop.high < most.drop.low else "their intervals overlap"
    gains = [line.drop.value < 0 for line in (least, most)]
    where = f"{AT.capitalize()} " if still else ""
    return [
        f"{where}{least.cell.name} {'gains most' if gains[0] else 'loses least'} ({_points(least.drop)} points, "
        f"95% interval {_span(least.drop)}), {most.cell.name} {'gains least' if gains[1] else 'loses most'} "
        f"({_points(most.drop)}, {_span(most.drop)}); {apart}."
    ]


def _lost(compared: Comparison, lines: list[Line]) -> list[str]:
    name = compared.name
    lost = [line.cell.name for line in lines if not any(above_majority(run.robustness[name]) for run in line.cell.runs)]
    if not lost:
        return []
    return [f"On {name} {f.listing(lost)} {'is' if len(lost) == 1 else 'are'} not above its majority class."]


def _points(drop: Drop) -> str:
    return f"{100 * drop.value:.1f}".replace("-", "−")


def _span(drop: Drop) -> str:
    return f"{100 * drop.low:.1f} to {100 * drop.high:.1f}".replace("-", "−")


def _table(index: int, compared: Comparison) -> Table:
    columns = [
        Column("cell", "Method"),
        Column("accuracy", f"Accuracy on {compared.name}", "percent", higher_is_better=True),
        Column("interval", "95% interval"),
        Column("macro_f1", "Macro F1", "percent", higher_is_better=True),
        Column("reference", f"Accuracy on {compared.reference}", "percent"),
        Column("drop", "Drop, points", "points", higher_is_better=False),
        *of_kind("text", drop_interval="95% interval of the drop", remark="Remark"),
    ]
    rows = [_row(line, compared) for line in compared.lines]
    how = "paired" if compared.groups is not None else "unrelated texts"
    caption = f"{compared.name}, {f.plural(compared.texts, 'text')}, against {compared.reference} ({how})."
    return Table(f"robustness-{f.slug(index, compared.name)}", caption, columns, rows)


def _row(line: Line, compared: Comparison) -> dict[str, Any]:
    seeds = len(line.cell.runs)
    baseline = is_baseline(line.cell.runs[0])
    sound = all(learned(run) for run in line.cell.runs)
    return {
        "cell": line.cell.name,
        "accuracy": line.accuracy,
        "interval": f.percent_range(*line.interval),
        "macro_f1": line.macro_f1,
        "reference": line.reference,
        "drop": line.drop.value,
        "drop_interval": _span(line.drop),
        "remark": "; ".join(
            part
            for part, applies in (
                ("did not learn", not sound),
                ("baseline", baseline),
                (f"mean of {seeds} seeds", seeds > 1),
            )
            if applies
        ),
        "unranked": ["drop"] if baseline and sound else not sound,
    }


def _chart(compared: list[Comparison]) -> Chart:
    names = [each.name for each in compared]
    order = list(dict.fromkeys(line.cell.name for each in compared for line in each.lines))
    tests = {line.cell.name: line.cell.accuracy for each in compared for line in each.lines}
    rows: list[dict[str, Any]] = [
        {"name": name, "series": TEST, "value": chart.short(value)} for name, value in tests.items()
    ]
    rows += [
        {"name": line.cell.name, "series": each.name, "value": chart.short(line.accuracy)}
        for each in compared
        for line in each.lines
    ]
    tips = chart.tips(name="method", series="set", value=("accuracy", ".1%"))
    spec = categories.dots(
        rows, x_title="accuracy", order=order, series=[TEST, *names], tooltip=tips, axis=chart.PERCENT_AXIS
    )
    description = f"Points: each method's accuracy on the test texts and on {f.listing(names)}."
    return Chart("robustness", "Accuracy by test set", description, spec)


def _notes(results: Results, compared: list[Comparison]) -> list[str]:
    notes = []
    for each in compared:
        profile = results.study.robustness[each.name]
        dropped = "".join(f" {f.count(d.count)} rows dropped: {d.reason}." for d in profile.dropped)
        if each.groups is not None:
            how = (
                f"{f.count(each.groups.shared_texts)} of its {f.count(each.texts)} texts share a text with "
                f"{each.reference}; the interval of the drop is a percentile bootstrap over such families."
            )
        else:
            how = f"compared with {each.reference} as unrelated texts; the interval of the drop is Newcombe's (1998)."
        notes.append(f"{each.name} ({profile.source}): {how}{dropped}")
    notes.append("Intervals speak of these trained models on other texts of the same kind, not of other seeds.")
    return [*notes, *(note for each in compared if (note := _unscored(results, each.name)))]


def _unscored(results: Results, name: str) -> str | None:
    scored = {run.run_id for run in results.robustness_runs(name)}
    lost = [run.name for run in results.done if run.run_id not in scored]
    return f"Not scored on {name}: {f.listing(lost)}." if lost else None
