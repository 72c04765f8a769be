"""Losses, accuracies and learning rates over training."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings import ended
from thriftune.analysis.findings.training import Found, trained
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
LOOKS = 40
FEWEST_LOOKS = 6
ROWS = 480
"""Looks that the table lists of each run, and of all together."""
EPOCH = ",.2~f"

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
    training = trained(results)
    tables = [*([ended.table(training)] if training.runs else []), _epochs(histories)]
    if any(run.search for run in results.runs):
        tables.append(_search(results.runs))
    notes = [
        "Training scores are running means between two looks at validation, while weights change; the thin line is the "
        "step loss.",
        "Still improving: validation accuracy rose over the last epoch by more than the margin of "
        f"{f.points(results.study.margin / 100)} and by more than 2 sqrt(d / n), where the share d of the n validation "
        "texts changed its answer. Plateau: it did not.",
    ]
    kept = [each for each in charts if each is not None]
    return Panel([*ended.sentences(results), *_sentences(histories, training)], tables, kept, notes)


def _sentences(histories: list[History], training: Found) -> list[str]:
    rising, last = [], []
    for run, _, epochs in histories:
        losses = [(p.validation_loss, p.epoch) for p in epochs if p.validation_loss is not None]
        if len(losses) < 2:
            continue
        best = min(losses)
        if best[0] < losses[-1][0]:
            rising.append((run, f"{run.name} (+{f.number(losses[-1][0] - best[0])} since epoch {f.epochs(best[1])})"))
        else:
            last.append((run, run.name))
    out = []
    for better, text in (
        (False, "Validation loss rose again before the end, a sign of overfitting: {}."),
        (True, "Validation loss rose again before the end, though accuracy still improved: {}."),
    ):
        if names := [name for run, name in rising if _improving(training, run) == better]:
            out.append(text.format(f.listing(names)))
    for better, text in (
        (False, "Validation loss was lowest at the end of training {}."),
        (True, "Validation loss was lowest at the end of training {}: more epochs might help."),
    ):
        if names := [name for run, name in last if _improving(training, run) == better]:
            every = len(names) == len(last) > 1 and not rising
            out.append(text.format(f"in all {len(names)} runs" if every else f"for {f.listing(names)}"))
    return out or ["Too few epochs to say how the validation loss moved."]


def _improving(training: Found, run: RunRecord) -> bool:
    """Whether the run's accuracy is known to have been still improving."""
    found = training.of(run)
    return found is not None and found.improving


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
    tooltip = chart.tips(series="run", x=("epoch", EPOCH), y=(unit, ".1%" if share else ".4f"))
    series = [run.name for run, _, _ in histories]
    spec = planes.lines(rows, x_title="epoch", y_title=title.lower(), series=series, tooltip=tooltip, share=share)
    return Chart(name, title, f"Lines: {title.lower()} of each run at each look at it.", spec)


def _rates(histories: list[History]) -> Chart | None:
    rows = []
    for run, steps, _ in histories:
        xs, ys = thin([p.epoch for p in steps], [p.learning_rate for p in steps], _points(len(histories)))
        rows += [{"series": run.name, "x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
    if not rows:
        return None
    tooltip = chart.tips(series="run", x=("epoch", ".2f"), y=("learning rate", ".2e"))
    series = [run.name for run, _, _ in histories]
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
    return Chart("learning-rate", "Learning rate", "Lines: the learning rate of each run over training.", spec)


def _losses(index: int, history: History) -> Chart | None:
    run, steps, epochs = history
    rows = _both(epochs, lambda p: p.train_loss, lambda p: p.validation_loss)
    xs, ys = thin([p.epoch for p in steps], [p.loss for p in steps])
    faint = [{"x": x, "y": y} for x, y in zip(xs, ys, strict=True)]
    if not rows:
        return None
    tooltip = chart.tips(series="split", x=("epoch", EPOCH), y=("loss", ".4f"))
    spec = planes.lines(
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
    tooltip = chart.tips(series="split", x=("epoch", EPOCH), y=("accuracy", ".1%"))
    spec = planes.lines(
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
