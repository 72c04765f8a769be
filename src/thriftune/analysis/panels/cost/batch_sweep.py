"""What the batch size does: accuracy, memory and time of methods that ran with several of them."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.cost_lines import COSTS, cost_lines
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, metric, there
from thriftune.analysis.findings.runs import Cell, cells, differing, is_baseline, shared_a_device
from thriftune.analysis.findings.training import Found, at, gain_text, pointer, trained
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Batch sizes"
QUESTION = "What does the batch size change: accuracy, memory, time?"

Sweep = dict[int, Cell]
"""The cells of one method by batch size, ascending."""


def build(results: Results) -> Panel | NotApplicable:
    """A table of the sweep, and lines of memory and time over the batch size."""
    found = sweeps(results)
    if not found:
        return NotApplicable("No method ran with several batch sizes; protocol.batch_size takes a list of them.")
    training = trained(results)
    sentences = [_sentence(name, sweep, training) for name, sweep in found.items()]
    if any(training.still(*sweep.values()) for sweep in found.values()):
        sentences[-1] += pointer(results)
    charts = there(_chart(found, key) for key in ("memory", "seconds"))
    notes = [
        "The number of steps follows the batch size, the learning rate does not: difference in accuracy is that of "
        "batch size and learning rate together."
    ]
    swept = [run for sweep in found.values() for cell in sweep.values() for run in cell.runs]
    notes += [sentence] if (sentence := shared_a_device(swept)) else []
    return Panel(sentences, [_table(found)], charts, notes)


def sweeps(results: Results) -> dict[str, Sweep]:
    """The methods (with their models, where there are several) whose runs differ in the batch size alone."""
    runs = [run for run in results.done if not is_baseline(run)]
    several = len({run.model for run in runs}) > 1
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        size = run.protocol.get("batch_size")
        name = run.cell.removesuffix(f" batch {size}")
        groups.setdefault(f"{name} ({run.model})" if several and str(run.model) not in name else name, []).append(run)
    found: dict[str, Sweep] = {}
    for name, group in groups.items():
        by_size = {int(cell.runs[0].protocol.get("batch_size", 0)): cell for cell in cells(group)}
        if len(by_size) > 1 and set(differing(group, machine=False)) == {"batch size"}:
            found[name] = dict(sorted(by_size.items()))
    return found


def _sentence(name: str, sweep: Sweep, training: Found) -> str:
    low, high = min(sweep), max(sweep)
    first, last = sweep[low], sweep[high]
    budget = at(training.still(first, last))
    parts = [f"accuracy {f.percent(first.accuracy)} and {f.percent(last.accuracy)}{budget}"]
    if first.memory and last.memory:
        parts.append(f"peak memory {f.size(first.memory)} and {f.size(last.memory)}")
    if first.seconds and last.seconds:
        parts.append(f"training time {f.seconds(first.seconds)} and {f.seconds(last.seconds)}")
    text = f"{name} with batches of {low} and of {high}: {', '.join(parts)}."
    still = [f"{size} ({gain_text(training.gain(cell))})" for size, cell in sweep.items() if training.still(cell)]
    return f"{text} Still improving in the last epoch with batches of {f.listing(still)}." if still else text


def _table(found: dict[str, Sweep]) -> Table:
    columns = [
        Column("method", "Method"),
        Column("batch", "Batch size", "int"),
        metric("accuracy", ranked=False),
        metric("memory", of="peak_memory_bytes", ranked=False),
        metric("seconds", ranked=False),
    ]
    rows: list[dict[str, Any]] = [
        {"method": name, "batch": size, "accuracy": cell.accuracy, "memory": cell.memory, "seconds": cell.seconds}
        for name, sweep in found.items()
        for size, cell in sweep.items()
    ]
    return Table("batch-sweep", "Means over seeds, measured.", columns, rows)


def _chart(found: dict[str, Sweep], key: str) -> Chart | None:
    every = [(name, size, getattr(cell, key)) for name, sweep in found.items() for size, cell in sweep.items()]
    return cost_lines(
        key,
        [each for each in every if each[2] is not None],
        list(found),
        name=f"batch-{key}",
        title=f"{COSTS[key]} by batch size",
        x=("batch size", "batch size"),
        over="batch size",
    )
