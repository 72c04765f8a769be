"""What each trained model takes on disk, and what many tasks on one pretrained model would."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, metric
from thriftune.analysis.findings.runs import Costs, by_model, cells, costs_of, is_baseline
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Storage"
QUESTION = "How much must be stored for each trained model, and for many tasks on one pretrained model?"

TASKS = (1, 5, 20, 100)
COLUMNS = [
    Column("run", "Run"),
    metric("stored_bytes", "Stored per task"),
    Column("beside", "Beside it"),
    Column("first", "First task, all in all", "bytes"),
    metric("delta_bytes"),
    Column("ratio", "Stored per task, times the least", "ratio"),
]


def build(results: Results) -> Panel | NotApplicable:
    """Stored and trained bytes of every run, and of several tasks by every method."""
    costs = costs_of(results.runs)
    if not costs:
        return NotApplicable("No run finished, so nothing was stored.")
    least = min((cost.stored_bytes for run, cost in costs if not is_baseline(run) and cost.stored_bytes), default=0)
    rows = [
        {
            "run": run.name,
            "stored_bytes": cost.stored_bytes,
            "beside": "nothing" if run.model is None else _beside(cost),
            "first": cost.stored_bytes if run.model is None else tasks_bytes(cost, 1),
            "delta_bytes": cost.delta_bytes,
            "ratio": cost.stored_bytes / least if least else None,
            "unranked": is_baseline(run),
        }
        for run, cost in costs
    ]
    notes = [
        "Stored per task: the weight files in the run's model folder. An adapter needs its pretrained model beside it, "
        "once for all tasks. Best values are marked among the fine-tuned methods."
    ]
    of_runs = Table("storage", "Bytes on disk, for each task and with the pretrained model.", COLUMNS, rows)
    tables = [by_method(of_runs, [run for run, _ in costs])]
    sentences = _sentences(costs)
    models = by_model(run for run, _ in costs)
    for index, (model, runs) in enumerate(models.items()):
        group = _first_of_cells(runs)
        if table := _tasks_table(index, model, group):
            tables.append(table)
            tuned = [(run, cost) for run, cost in group if not is_baseline(run)]
            sentences += _tasks_sentence(tuned, f"on {model}" if len(models) > 1 else "on one pretrained model")
    if len(tables) > 1:
        notes.append(
            "So many tasks: model folders as they are, and the pretrained model once where they are adapters. "
            "Or the pretrained model once and each task's trained tensors alone, which a loader must put in place."
        )
    return Panel(sentences, tables, notes=notes)


def _with_model(cost: Cost) -> str:
    """ ", beside its model of 90.9 MB" where it needs that."""
    if not cost.adapter or cost.pretrained_bytes is None:
        return ""
    return f", beside its pretrained model of {f.size(cost.pretrained_bytes)}"


def _beside(cost: Cost) -> str:
    """What a stored model needs beside it."""
    if cost.adapter is None:
        return ""
    if not cost.adapter:
        return "nothing"
    return "its pretrained model" if cost.pretrained_bytes is None else f"its model, {f.size(cost.pretrained_bytes)}"


def tasks_bytes(cost: Cost, tasks: int) -> int | None:
    """Bytes of so many trained models on one pretrained model; None where it is not known what they need."""
    if cost.adapter is None or cost.pretrained_bytes is None:
        return None
    return (cost.pretrained_bytes if cost.adapter else 0) + tasks * cost.stored_bytes


def _first_of_cells(runs: list[RunRecord]) -> Costs:
    return [(cell.runs[0], cell.runs[0].cost) for cell in cells(runs) if cell.runs[0].cost is not None]


def _tasks_table(index: int, model: str, group: Costs) -> Table | None:
    known = [(run, cost) for run, cost in group if tasks_bytes(cost, 1) is not None]
    if not known:
        return None
    columns = [Column("cell", "Method")]
    columns += [Column(f"tasks{n}", f.plural(n, "task"), "bytes", higher_is_better=False) for n in TASKS]
    columns.append(Column("deltas", f"{TASKS[-1]} tasks, trained tensors alone", "bytes"))
    rows = []
    for run, cost in known:
        row: dict[str, Any] = {"cell": run.cell, "deltas": (cost.pretrained_bytes or 0) + TASKS[-1] * cost.delta_bytes}
        row["unranked"] = is_baseline(run)
        rows.append(row | {f"tasks{n}": tasks_bytes(cost, n) for n in TASKS})
    caption = f"{model}: bytes for so many tasks, the pretrained model included where it is needed."
    return Table(f"tasks-{f.slug(index, model)}", caption, columns, rows)


def _tasks_sentence(group: Costs, where: str) -> list[str]:
    """What the methods take for some tasks, and from how many on an adapter takes less than a whole model."""
    many = TASKS[-2]
    sizes = [(run, cost, tasks_bytes(cost, many)) for run, cost in group]
    known = sorted(((run, cost, size) for run, cost, size in sizes if size is not None), key=lambda each: each[2])
    if len(known) < 2:
        return []
    (low, cost, least), (high, other, most) = known[0], known[-1]
    text = f"{many} tasks {where} take {f.size(least)} with {low.cell} and {f.size(most)} with {high.cell}."
    first = next((n for n in range(1, 1001) if (tasks_bytes(cost, n) or 0) < (tasks_bytes(other, n) or 0)), None)
    if cost.adapter and not other.adapter and first is not None and first > 1:
        text += f" The pretrained model counts once: the adapters take less from {first} tasks on."
    return [text]


def _sentences(costs: Costs) -> list[str]:
    tuned = [(run, cost) for run, cost in costs if not is_baseline(run)]
    if not tuned:
        return ["Only baselines were stored."]
    ranked = sorted(tuned, key=lambda pair: pair[1].stored_bytes)
    (low, least), (high, most) = ranked[0], ranked[-1]
    if len(tuned) == 1:
        return [f"{low.cell} stores {f.size(least.stored_bytes)} per task{_with_model(least)}."]
    text = f"{low.cell} stores least per task, {f.size(least.stored_bytes)}{_with_model(least)}; "
    text += f"{high.cell} most, {f.size(most.stored_bytes)}"
    if least.stored_bytes:
        text += f", {f.ratio(most.stored_bytes / least.stored_bytes)} as much"
    return [f"{text}."]
