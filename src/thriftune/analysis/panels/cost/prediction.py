"""What each run was predicted to cost, next to what it did cost."""

from __future__ import annotations

from statistics import median
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.runs import shared_a_device
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.cost import Cost
from thriftune.results.prediction import Prediction
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Prediction and measurement"
QUESTION = "How well were the costs predicted before the runs began?"

COLUMNS = [
    Column("run", "Run"),
    *of_kind("bytes", predicted_memory="Memory, predicted", measured_memory="Memory, measured"),
    Column("memory_error", "Error", "percent"),
    *of_kind("seconds", predicted_seconds="Training, predicted", measured_seconds="Training, measured"),
    Column("seconds_error", "Error", "percent"),
]
SEEN = 0.0005
"""An error below it reads as 0.0%."""
EXACT = {
    "trained_parameters": "trained parameters",
    "total_parameters": "all parameters",
    "stored_bytes": "stored bytes",
    "delta_bytes": "bytes of the trained tensors",
}
"""What a prediction must meet to the digit."""


def build(results: Results) -> Panel | NotApplicable:
    """Predicted and measured memory and time of every run, with the error in share of the measured."""
    both = [
        (run, run.predicted, run.cost) for run in results.runs if run.predicted is not None and run.cost is not None
    ]
    if not both:
        return NotApplicable("No run that finished has a prediction.")
    rows = [_row(run, predicted, cost) for run, predicted, cost in both]
    notes = [
        "Predicted from each model's configuration and the lengths of the texts, before the run loaded any weight. "
        "Error: predicted over measured, less one. Training: optimisation steps alone, from a probe of this machine."
    ]
    if any(_open(run) for run, _, _ in both):
        notes.append(
            "Where validation decided when training ended (epochs auto), the time is predicted for as many training "
            "texts as were seen: how many there would be was a guess."
        )
    notes += [sentence] if (sentence := shared_a_device(run for run, _, _ in both)) else []
    columns = [column for column in COLUMNS if not any(what in column.name for what in _met(rows))]
    tables = []
    if len(columns) > 1:
        of_runs = Table("prediction", "Predicted and measured.", columns, rows)
        tables = [by_method(of_runs, [run for run, _, _ in both])]
    return Panel(_sentences(rows, both), tables, notes=notes)


def _met(rows: list[dict[str, Any]]) -> list[str]:
    """The costs that need no columns: predicted to within what the columns would show, or not at all."""
    errors = {what: [row[f"{what}_error"] for row in rows] for what in ("memory", "seconds")}
    return [what for what, found in errors.items() if all(each is None or abs(each) < SEEN for each in found)]


def _row(run: RunRecord, predicted: Prediction, cost: Cost) -> dict[str, Any]:
    seconds = _seconds(run, predicted, cost)
    out: dict[str, Any] = {
        "run": run.name,
        "predicted_memory": predicted.peak_memory_bytes,
        "measured_memory": cost.peak_memory_bytes,
        "memory_error": _error(predicted.peak_memory_bytes, cost.peak_memory_bytes),
        "predicted_seconds": seconds,
        "measured_seconds": cost.train_seconds,
        "seconds_error": _error(seconds, cost.train_seconds),
    }
    if seconds is None:
        reason = predicted.reasons.get("train_seconds", "how many training texts were seen is not known")
        out["predicted_seconds_reason"] = out["seconds_error_reason"] = reason
    if cost.peak_memory_bytes is None:
        out["measured_memory_reason"] = out["memory_error_reason"] = cost.reasons["peak_memory_bytes"]
    return out


def _open(run: RunRecord) -> bool:
    """Whether validation decided when the run's training ended."""
    return run.protocol.get("epochs") == "auto"


def _seconds(run: RunRecord, predicted: Prediction, cost: Cost) -> float | None:
    """The predicted seconds of training; for as many texts as were seen where validation decided on them."""
    if not _open(run) or predicted.train_seconds is None:
        return predicted.train_seconds
    if not predicted.train_samples or cost.samples_per_second is None:
        return None
    seen = cost.samples_per_second * (cost.train_seconds + cost.prefix_seconds)
    return predicted.train_seconds * seen / predicted.train_samples


def _error(predicted: float | None, measured: float | None) -> float | None:
    return None if predicted is None or not measured else predicted / measured - 1


def _sentences(rows: list[dict[str, Any]], both: list[tuple[RunRecord, Prediction, Cost]]) -> list[str]:
    sentences = [_spread("Peak memory", "memory_error", rows), _spread("Training time", "seconds_error", rows)]
    wrong = [
        f"{words} of {run.name} ({f.count(getattr(predicted, name))} predicted, {f.count(getattr(cost, name))} found)"
        for run, predicted, cost in both
        for name, words in EXACT.items()
        if getattr(predicted, name) != getattr(cost, name)
    ]
    if wrong:
        sentences.append(f"Not met to the digit: {f.listing(wrong)}.")
    else:
        sentences.append("Parameters and stored bytes were as predicted, to the digit.")
    return [sentence for sentence in sentences if sentence]


def _spread(what: str, column: str, rows: list[dict[str, Any]]) -> str:
    errors = sorted((abs(row[column]), row["run"]) for row in rows if row[column] is not None)
    if not errors:
        return f"{what} was not predicted." if column == "seconds_error" else ""
    worst, run = errors[-1]
    if len(errors) == 1:
        return f"{what} of {run} was predicted to within {f.percent(worst)}."
    middle = f.percent(median(error for error, _ in errors))
    if worst < SEEN:
        return f"{what} was predicted as measured in all {len(errors)} runs."
    return f"{what} was predicted to within {f.percent(worst)} in all {len(errors)} runs (median error {middle})."
