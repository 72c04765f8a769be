"""Losses, accuracies and learning rates over training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thriftune.analysis import chart
from thriftune.analysis import format as f
from thriftune.analysis.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.results.record import EpochPoint, RunRecord, StepPoint
from thriftune.results.store import Results

ORDER = 40
GROUP = "performance"
TITLE = "Training"
QUESTION = "How did training go, and did any run overfit?"

POINTS_DRAWN = 200
FEWEST_POINTS = 20
MARKS = 4_000
"""Points of all lines of one chart."""
"""Steps of a run are averaged down to so many points before they are drawn."""

History = tuple[RunRecord, list[StepPoint], list[EpochPoint]]
Rows = list[dict[str, Any]]


def build(results: Results) -> Panel | NotApplicable:
    """Curves of all runs together, then of each run."""
    histories = [(run, *results.history(run)) for run in results.runs]
    histories = [history for history in histories if history[1] or history[2]]
    if not histories:
        return NotApplicable("No run has a training history.")
    charts = [
        _overlay("validation-loss", "Validation loss", "loss", histories, lambda p: p.validation_loss),
        _overlay(
            "validation-accuracy",
            "Validation accuracy",
            "accuracy",
            histories,
            lambda p: p.validation_accuracy,
        ),
        _rates(histories),
    ]
    for i, history in enumerate(histories):
        charts += [_losses(i, history), _accuracies(i, history)]
    tables = [_epochs(histories)]
    if any(run.search for run in results.runs):
        tables.append(_search(results.runs))
    notes = ["Training scores of an epoch are running means while weights change; the thin line is the step loss."]
    kept = [each for each in charts if each is not None]
    return Panel(_sentences(histories), tables, kept, notes)


def _sentences(histories: list[History]) -> list[str]:
    rising, last = [], []
    for run, _, epochs in histories:
        losses = [point.validation_loss for point in epochs if point.validation_loss is not None]
        if len(losses) < 2:
            continue
        best = min(range(len(losses)), key=lambda i: losses[i])
        if best < len(losses) - 1:
            rising.append(f"{run.name} (+{f.number(losses[-1] - losses[best])} since epoch {best + 1})")
        else:
            last.append(run.name)
    out = []
    if rising:
        out.append(f"Validation loss rose again before the end, a sign of overfitting: {f.listing(rising)}.")
    if last:
        whose = f"in all {len(last)} runs" if len(last) > 1 and not rising else f"for {f.listing(last)}"
        out.append(f"Validation loss was lowest after the last epoch {whose}: more epochs might help.")
    return out or ["Too few epochs to say how the validation loss moved."]


def _overlay(
    name: str, title: str, unit: str, histories: list[History], value: Callable[[EpochPoint], float | None]
) -> Chart | None:
    rows = [
        {"series": run.name, "x": point.epoch, "y": chart.short(y)}
        for run, _, epochs in histories
        for point in spread(epochs, _points(len(histories)))
        if (y := value(point)) is not None
    ]
    if not rows:
        return None
    share = unit == "accuracy"
    tooltip = [
        chart.tip("series", "run"),
        chart.tip("x", "epoch", ","),
        chart.tip("y", unit, ".1%" if share else ".4f"),
    ]
    series = [run.name for run, _, _ in histories]
    spec = chart.lines(rows, x_title="epoch", y_title=title.lower(), series=series, tooltip=tooltip, share=share)
    return Chart(name, title, f"Lines: {title.lower()} of each run after each epoch.", spec)


def _rates(histories: list[History]) -> Chart | None:
    rows = []
    for run, steps, _ in histories:
        xs, ys = thin([p.epoch for p in steps], [p.learning_rate for p in steps], _points(len(histories)))
        rows += [{"series": run.name, "x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
    if not rows:
        return None
    tooltip = [
        chart.tip("series", "run"),
        chart.tip("x", "epoch", ".2f"),
        chart.tip("y", "learning rate", ".2e"),
    ]
    series = [run.name for run, _, _ in histories]
    spec = chart.lines(
        rows,
        x_title="epoch",
        y_title="learning rate",
        series=series,
        tooltip=tooltip,
        points=False,
        height=180,
    )
    spec["layer"][-1]["encoding"]["y"]["axis"] = {"format": ".1e", "tickCount": 4}
    return Chart("learning-rate", "Learning rate", "Lines: the learning rate of each run over training.", spec)


def _losses(index: int, history: History) -> Chart | None:
    run, steps, epochs = history
    rows = _both(epochs, lambda p: p.train_loss, lambda p: p.validation_loss)
    xs, ys = thin([p.epoch for p in steps], [p.loss for p in steps])
    faint = [{"x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
    if not rows:
        return None
    tooltip = [chart.tip("series", "split"), chart.tip("x", "epoch", ","), chart.tip("y", "loss", ".4f")]
    spec = chart.lines(
        rows,
        x_title="epoch",
        y_title="loss",
        series=["training", "validation"],
        tooltip=tooltip,
        faint=faint,
        height=150,
    )
    description = f"Lines: training and validation loss of {run.name} by epoch, with the step loss behind."
    return Chart(f"loss-{f.slug(index, run.name)}", f"{run.name}: loss", description, spec, small=True)


def _accuracies(index: int, history: History) -> Chart | None:
    run, _, epochs = history
    rows = _both(epochs, lambda p: p.train_accuracy, lambda p: p.validation_accuracy)
    if not rows:
        return None
    tooltip = [chart.tip("series", "split"), chart.tip("x", "epoch", ","), chart.tip("y", "accuracy", ".1%")]
    spec = chart.lines(
        rows,
        x_title="epoch",
        y_title="accuracy",
        series=["training", "validation"],
        tooltip=tooltip,
        share=True,
        height=150,
    )
    description = f"Lines: training and validation accuracy of {run.name} by epoch."
    return Chart(f"accuracy-{f.slug(index, run.name)}", f"{run.name}: accuracy", description, spec, small=True)


def _both(
    epochs: list[EpochPoint],
    training: Callable[[EpochPoint], float | None],
    validation: Callable[[EpochPoint], float | None],
) -> Rows:
    rows = []
    for point in spread(epochs, POINTS_DRAWN):
        for series, value in (("training", training(point)), ("validation", validation(point))):
            if value is not None:
                rows.append({"series": series, "x": point.epoch, "y": chart.short(value)})
    return rows


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
    columns = [
        Column("run", "Run"),
        Column("epoch", "Epoch", "int"),
        Column("train_loss", "Training loss", "number"),
        Column("validation_loss", "Validation loss", "number"),
        Column("train_accuracy", "Training accuracy", "percent"),
        Column("validation_accuracy", "Validation accuracy", "percent"),
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
            "kept": "kept" if p.epoch == run.best_epoch else "",
        }
        for run, _, epochs in histories
        for p in epochs
    ]
    return Table("epochs", "Every epoch; the weights marked as kept were tested.", columns, rows)


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
