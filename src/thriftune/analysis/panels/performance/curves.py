"""Losses, accuracies and learning rates over training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.colours import colours
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind, there
from thriftune.analysis.findings import ended
from thriftune.analysis.findings.runs import Cell, cells, depends
from thriftune.analysis.findings.training import Found, trained
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.history import EpochPoint, StepPoint
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Training"
QUESTION = "How did training go, and did any run overfit?"

POINTS_DRAWN = 200
FEWEST_POINTS = 20
"""Steps of a run are averaged down to so many points before they are drawn."""
MARKS = 4_000
"""Points of all lines of one chart."""
SPREADS = {"gain": ("Over seeds", lambda low, high: f"{f.signed_points(low)} to {f.signed_points(high)}")}
MULTIPLES = 16
"""Methods with a chart of their own."""
LOOKS = 40
FEWEST_LOOKS = 6
ROWS = 480
"""Looks that the table lists of each run, and of all together."""
EPOCH = ",.2~f"

History = tuple[RunRecord, list[StepPoint], list[EpochPoint]]
Rows = list[dict[str, Any]]


def build(results: Results) -> Panel | NotApplicable:
    """Curves of each method, its seeds as thin lines, on axes that all methods share."""
    histories = [(run, *results.history(run)) for run in results.runs]
    histories = [history for history in histories if history[1] or history[2]]
    if not histories:
        return NotApplicable("No run has a training history.")
    accuracy, loss = (multiples(results, histories, what) for what in ("accuracy", "loss"))
    charts = [*accuracy, *loss, *there([_rates(results, histories)])]
    training = trained(results)
    endings = [by_method(ended.table(training), [each.run for each in training.runs], SPREADS)] if training.runs else []
    tables = [*endings, _epochs(histories)]
    if any(run.search for run in results.runs):
        tables.append(_search(results.runs))
    notes = [
        "Grey: training. Its scores are running means between two looks at validation, while weights change.",
        "Still improving: validation accuracy rose over the last epoch by more than the margin of "
        f"{f.points(results.study.margin / 100)} and by more than 2 sqrt(d / n), where the share d of the n validation "
        "texts changed its answer. Plateau: it did not.",
    ]
    if (methods := len(cells(run for run, _, _ in histories))) > MULTIPLES:
        notes.append(f"The first {MULTIPLES} of {methods} methods have charts; every run has its history.jsonl.")
    sentences = [*ended.sentences(results), *_sentences(histories, training)]
    return Panel(sentences, tables, charts, notes, open_charts=len(accuracy or loss))


def _sentences(histories: list[History], training: Found) -> list[str]:
    losses = {
        run.run_id: [(p.validation_loss, p.epoch) for p in epochs if p.validation_loss is not None]
        for run, _, epochs in histories
    }
    rising: dict[bool, list[str]] = {True: [], False: []}
    last: dict[bool, list[str]] = {True: [], False: []}
    methods = cells(run for run, _, _ in histories if len(losses[run.run_id]) > 1)
    for cell in methods:
        rises = {run.run_id: losses[run.run_id][-1][0] - min(losses[run.run_id])[0] for run in cell.runs}
        risen = [run for run in cell.runs if rises[run.run_id] > 0]
        better = any(_improving(training, run) for run in cell.runs)
        if not risen:
            last[better].append(cell.name)
            continue
        least, most = (f.number(each(rises[run.run_id] for run in risen)) for each in (min, max))
        by = f"+{least}" if least == most else f"+{least} to +{most}"
        if len(cell.runs) == 1:
            by += f" since epoch {f.epochs(min(losses[risen[0].run_id])[1])}"
        else:
            by += f" in {len(risen)} of {len(cell.runs)} seeds"
        rising[better].append(f"{cell.name} ({by})")
    out = []
    for better, text in (
        (False, "Validation loss rose again before the end, a sign of overfitting: {}."),
        (True, "Validation loss rose again before the end, though accuracy still improved: {}."),
    ):
        if rising[better]:
            out.append(text.format(f.listing(rising[better])))
    for better, text in (
        (False, "Validation loss was lowest at the end of training {}."),
        (True, "Validation loss was lowest at the end of training {}: more epochs might help."),
    ):
        if names := last[better]:
            every = len(names) == len(methods) > 1
            out.append(text.format(f"for all {len(names)} methods" if every else f"for {f.listing(names)}"))
    return out or ["Too few epochs to say how the validation loss moved."]


def _improving(training: Found, run: RunRecord) -> bool:
    """Whether the run's accuracy is known to have been still improving."""
    found = training.of(run)
    return found is not None and found.improving


def multiples(results: Results, histories: list[History], what: str) -> list[Chart]:
    """A small chart of accuracy or loss for each method: a line for each seed, and training in grey behind it."""
    looks = _points(2 * len(histories))
    lines: dict[str, dict[str, list[Line]]] = {}
    for run, _, epochs in histories:
        for split in ("train", "validation"):
            points = [(p.epoch, y) for p in spread(epochs, looks) if (y := getattr(p, f"{split}_{what}")) is not None]
            if points:
                lines.setdefault(run.run_id, {})[split] = [Line(run, split, x, y) for x, y in points]
    known = [point for of_run in lines.values() for points in of_run.values() for point in points]
    if not any(point.split == "validation" for point in known):
        return []
    framed = [
        point for point in known if depends(point.run)
    ] or known  # one that did not learn would flatten the others
    ends = [[min(values), max(values)] for values in ([p.x for p in framed], [p.y for p in framed])]
    hues = colours(results)
    charts: list[Chart] = []
    for i, cell in enumerate(cells(run for run, _, _ in histories)):
        own = [point for run in cell.runs for points in lines.get(run.run_id, {}).values() for point in points]
        if own and len(charts) < MULTIPLES:
            charts.append(_of_method(i, cell, what, own, ends, hues))
    return charts


@dataclass(frozen=True)
class Line:
    """A point of one run's line."""

    run: RunRecord
    split: str
    x: float
    y: float


def _of_method(
    index: int, cell: Cell, what: str, points: list[Line], ends: list[list[float]], hues: dict[str, int]
) -> Chart:
    rows = [
        {
            "line": f"{point.split} {point.run.run_id}",
            "split": "training" if point.split == "train" else "validation",
            "run": point.run.name,
            "x": point.x,
            "y": chart.short(point.y),
        }
        for point in points
    ]
    share = what == "accuracy"
    tooltip = chart.tips(run="run", split="split", x=("epoch", EPOCH), y=(what, ".1%" if share else ".4f"))
    spec = planes.multiple(rows, what, ends, hues[cell.name], tooltip=tooltip, share=share, thin=len(cell.runs) > 1)
    seeds = f"; one line for each of its {len(cell.runs)} seeds" if len(cell.runs) > 1 else ""
    description = (
        f"Lines: validation {what} of {cell.name} by epoch{seeds}; training in grey. All methods share the axes."
    )
    low, high = ends[1]
    if any(not low <= point.y <= high for point in points if point.split == "validation"):
        description += " It did not learn, and lies outside them."
    return Chart(f"{what}-{f.slug(index, cell.name)}", f"{cell.name}: {what}", description, spec, small=True)


def _rates(results: Results, histories: list[History]) -> Chart | None:
    """The learning rate of each method, of its first seed."""
    firsts = [cell.runs[0].run_id for cell in cells(run for run, _, _ in histories)]
    of_run = {run.run_id: (run, steps) for run, steps, _ in histories}
    rows, series = [], []
    for run, steps in (of_run[run_id] for run_id in firsts):
        xs, ys = thin([p.epoch for p in steps], [p.learning_rate for p in steps], _points(len(firsts)))
        rows += [{"series": run.cell, "x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
        series.append(run.cell)
    if not rows:
        return None
    tooltip = chart.tips(series="method", x=("epoch", ".2f"), y=("learning rate", ".2e"))
    spec = planes.lines(
        rows,
        x_title="epoch",
        y_title="learning rate",
        series=series,
        tooltip=tooltip,
        points=False,
        height=180,
        y_axis={"format": ".1e", "tickCount": 4},
    )
    return Chart("learning-rate", "Learning rate", "Lines: the learning rate of each method over training.", spec)


def spread(epochs: list[EpochPoint], limit: int) -> list[EpochPoint]:
    """At most `limit` of a run's epochs, evenly spread, the last one among them."""
    if len(epochs) <= limit:
        return epochs
    return [epochs[round(i)] for i in np.linspace(0, len(epochs) - 1, limit)]


def _points(runs: int) -> int:
    """How many points each of so many lines in one chart has at most."""
    return max(FEWEST_POINTS, min(POINTS_DRAWN, MARKS // max(1, runs)))


def thin(xs: Sequence[float], ys: Sequence[float], limit: int = POINTS_DRAWN) -> tuple[list[float], list[float]]:
    """At most `limit` points: the means of consecutive groups of nearly equal size."""
    if len(xs) <= limit:
        return [chart.short(x) for x in xs], [chart.short(y) for y in ys]
    starts = np.linspace(0, len(xs), limit, endpoint=False).astype(int)
    sizes = np.diff(np.append(starts, len(xs)))
    means = [np.add.reduceat(np.asarray(each, dtype=np.float64), starts) / sizes for each in (xs, ys)]
    return [chart.short(float(x)) for x in means[0]], [chart.short(float(y)) for y in means[1]]


def _epochs(histories: list[History]) -> Table:
    most = max(FEWEST_LOOKS, min(LOOKS, ROWS // len(histories)))
    columns = [
        Column("run", "Run"),
        Column("epoch", "Epoch", "epochs"),
        *of_kind("number", train_loss="Training loss", validation_loss="Validation loss"),
        *of_kind("percent", train_accuracy="Training accuracy", validation_accuracy="Validation accuracy"),
        Column("seconds", "Time", "seconds"),
        Column("kept", "Kept"),
    ]
    rows = [
        {
            "run": run.name,
            "epoch": p.epoch,
            "train_loss": p.train_loss,
            "validation_loss": p.validation_loss,
            "train_accuracy": p.train_accuracy,
            "validation_accuracy": p.validation_accuracy,
            "seconds": p.train_seconds,
            "kept": "kept" if is_kept(run, p) else "",
        }
        for run, _, epochs in histories
        for p in folded(run, epochs, most)
    ]
    caption = "Every look at validation; the weights marked as kept were tested."
    if any(len(epochs) > most for _, _, epochs in histories):
        caption = (
            f"Looks at validation, at most {most} of a run: the first, the last, the kept one and some between, evenly "
            "spaced; all are in its history.jsonl. The weights marked as kept were tested."
        )
    return Table("epochs", caption, columns, rows)


def is_kept(run: RunRecord, point: EpochPoint) -> bool:
    """Whether the weights of this look were kept."""
    return run.best_epoch is not None and math.isclose(point.epoch, run.best_epoch)


def folded(run: RunRecord, epochs: list[EpochPoint], most: int) -> list[EpochPoint]:
    """At most so many of a run's looks (three or more): evenly spread ones, and the kept one."""
    if len(epochs) <= most:
        return epochs
    shown = {round(i) for i in np.linspace(0, len(epochs) - 1, most - 1)}
    shown |= {i for i, point in enumerate(epochs) if is_kept(run, point)}
    return [epochs[i] for i in sorted(shown)]


def _search(runs: list[RunRecord]) -> Table:
    columns = [
        Column("run", "Run"),
        Column("learning_rate", "Learning rate", "number"),
        Column("accuracy", "Validation accuracy", "percent"),
        Column("loss", "Validation loss", "number"),
        Column("seconds", "Time", "seconds"),
        Column("taken", "Taken"),
    ]
    rows = [
        {
            "run": run.name,
            "learning_rate": p.learning_rate,
            "accuracy": p.validation_accuracy,
            "loss": p.validation_loss,
            "seconds": p.train_seconds,
            "taken": "taken" if p.learning_rate == run.learning_rate else "",
        }
        for run in runs
        for p in run.search
    ]
    return Table("search", "Learning rates that were tried; their time is part of the cost.", columns, rows)
