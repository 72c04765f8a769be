"""What every trained model costs when it predicts: one text at a time, in batches, and in memory."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, metric
from thriftune.analysis.findings.runs import Cell, Costs, cells, costs_of, is_baseline, shared_a_device
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.store import Results

TITLE = "In use"
QUESTION = "What does predicting cost?"

COLUMNS = [
    Column("run", "Run"),
    metric("latency_seconds", ranked=False),
    metric("latency_p95_seconds"),
    metric("predict_texts_per_second", ranked=False),
    metric("predict_memory_bytes", ranked=False),
]
MEASURED = ("latency_seconds", "latency_p95_seconds", "predict_texts_per_second", "predict_memory_bytes")
ALIKE = 1.3
"""Below this ratio two latencies are not told apart."""


def build(results: Results) -> Panel | NotApplicable:
    """Latency, texts a second and memory of every stored model."""
    costs = [(run, cost) for run, cost in costs_of(results.runs) if cost.latency_seconds is not None]
    if not costs:
        return NotApplicable("No run measured what predicting costs: results of earlier versions, or no finished run.")
    rows = []
    for run, cost in costs:
        row: dict[str, Any] = {"run": run.name} | {name: getattr(cost, name) for name in MEASURED}
        rows.append(row | {f"{name}_reason": cost.reasons[name] for name in MEASURED if name in cost.reasons})
    of_runs = Table("in_use", "The stored models in use, on texts of the test split.", COLUMNS, rows)
    notes = [
        "Measured after training, with the stored model loaded as thriftune predict loads it (a LoRA update is merged "
        "into its matrices), from texts to probabilities, tokenising included, on the processor or GPU that trained. "
        "One text: the median of up to 300 texts, one at a time, and what 95% of them stay within. Memory: with a "
        "batch of 32 texts, weights included.",
        f"It is measured in about a second, so repeats differ: ratios below {ALIKE} are no difference.",
        "Only measured, not predicted. A limit: thriftune recommend DIR --latency 20ms.",
    ]
    notes += [sentence] if (sentence := shared_a_device(run for run, _ in costs)) else []
    return Panel(_sentences(costs), [by_method(of_runs, [run for run, _ in costs])], notes=notes)


def _sentences(costs: Costs) -> list[str]:
    """The range of latencies and of memory among fine-tuned methods, and the fastest baseline."""
    groups = cells([run for run, _ in costs])
    tuned = [cell for cell in groups if not is_baseline(cell.runs[0])]
    baselines = [cell for cell in groups if is_baseline(cell.runs[0])]
    found = [] if not tuned else [_latencies(tuned), _memory(tuned)]
    if baselines:
        best = min(baselines, key=_latency)
        found.append(f"Of the baselines {best.name} is the fastest: {f.brief(_latency(best))} a text.")
    return [each for each in found if each]


def _latency(cell: Cell) -> float:
    return _mean(cell, "latency_seconds") or 0.0


def _latencies(group: list[Cell]) -> str:
    low, high = min(group, key=_latency), max(group, key=_latency)
    least, most = _latency(low), _latency(high)
    if low is high:
        return f"{low.name} labels one text in {f.brief(least)}."
    if most < ALIKE * least:
        return f"One text takes all fine-tuned methods about as long: {f.brief(least)} to {f.brief(most)}."
    times = f"{f.ratio(most / least)} as long"
    return f"One text takes from {f.brief(least)} ({low.name}) to {f.brief(most)} ({high.name}), {times}."


def _memory(group: list[Cell]) -> str:
    known = sorted((value, cell.name) for cell in group if (value := _mean(cell, "predict_memory_bytes")) is not None)
    if not known:
        return ""
    (least, low), (most, high) = known[0], known[-1]
    if f.size(least) == f.size(most):
        return f"Predicting 32 texts takes {f.size(least)} of memory."
    return f"Predicting 32 texts takes from {f.size(least)} ({low}) to {f.size(most)} ({high}) of memory."


def _mean(cell: Cell, name: str) -> float | None:
    values = [getattr(run.cost, name) for run in cell.runs if run.cost is not None]
    known = [float(value) for value in values if value is not None]
    return sum(known) / len(known) if known else None
