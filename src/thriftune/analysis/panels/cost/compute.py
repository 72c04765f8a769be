"""Memory and time of every run, and their ratios between methods of one model."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import (
    Column,
    NotApplicable,
    Panel,
    Table,
    metric,
    numbered,
)
from thriftune.analysis.findings.runs import (
    Cell,
    Costs,
    by_model,
    cells,
    comparable,
    costs_of,
    differing,
    held_up,
    is_baseline,
    learned,
    protocol,
    shared_a_device,
)
from thriftune.analysis.findings.times import EXACT, ratio_words, span, times_as_long
from thriftune.analysis.findings.training import Found, trained
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Compute"
QUESTION = "How much memory and time does each method take?"

PAIRS_SHOWN = 10
"""Methods of one model up to which every pair is compared."""
STATED = ("batch size", "max tokens", "epochs", "precision", "device")

OPTIONAL = (
    "prefix_seconds",
    "search_seconds",
    "peak_reserved_bytes",
    "prefix_peak_memory_bytes",
    "energy_joules",
    "processors",
    "threads",
    "load_at_start",
    "runs_beside",
)
TIMED = ("train_seconds", "samples_per_second")
"""Columns without a marked best: what differs by less than 1.3x is no difference, and repeats differ by 10%."""
MEASURED = (
    "peak_memory_bytes",
    "train_seconds",
    "search_seconds",
    "prefix_seconds",
    "samples_per_second",
    "evaluate_seconds",
    "load_seconds",
    "processors",
    "threads",
    "load_at_start",
    "runs_beside",
    "peak_reserved_bytes",
    "prefix_peak_memory_bytes",
    "peak_process_bytes",
    "fit_memory_bytes",
    "fit_process_bytes",
    "energy_joules",
)


def _from_to(low: float, high: float) -> str:
    first, last = f.seconds(low), f.seconds(high)
    return "" if first == last else f"{first} to {last}"


SPREADS = {"train_seconds": ("Over seeds", _from_to)}


def build(results: Results) -> Panel | NotApplicable:
    """Costs of every method with the protocol, and ratios."""
    costs = costs_of(results.runs)
    if not costs:
        return NotApplicable("No run finished, so nothing was measured.")
    of_methods = by_method(_costs(costs, trained(results)), [run for run, _ in costs], SPREADS)
    return Panel(_sentences(results), [of_methods, *_ratio_tables(results)], notes=_notes(results, costs))


def _sentences(results: Results) -> list[str]:
    """For each model the range of training times and of peak memory, with the methods at its ends; searches apart."""
    out = []
    groups = by_model(comparable(results))
    for model, runs in groups.items():
        group = cells(runs)
        ranges = [_times(results, group), _memory({c.name: c.memory for c in group if c.memory})]
        text = f"{f'on {model}: ' if len(groups) > 1 else ''}{'; '.join(each for each in ranges if each)}."
        out += [f"{text[0].upper()}{text[1:]}"] if any(ranges) else []
    searched = [
        f"{cell.name} {f.seconds(seconds)} of {f.seconds(cell.seconds)}"
        for cell in cells(comparable(results))
        if (seconds := _searched(cell)) and cell.seconds
    ]
    out += [f"Trying learning rates took a part of the training time: {f.listing(searched)}."] if searched else []
    return out or ["No fine-tuned run that learned has costs to compare."]


def _searched(cell: Cell) -> float:
    """Mean seconds of the learning rates that were tried beside the training that was kept."""
    known = [run.cost.search_seconds or 0.0 for run in cell.runs if run.cost is not None]
    return sum(known) / len(known) if known else 0.0


def _times(results: Results, group: list[Cell]) -> str:
    """The range of training times; a ratio has its interval, and below 1.3x no method is called faster."""
    known = sorted((cell for cell in group if cell.seconds), key=lambda cell: cell.seconds or 0)
    if not known:
        return ""
    low, high = known[0], known[-1]
    if low.seconds == high.seconds:
        return f"training time {f.seconds(low.seconds or 0)}"
    ends = " to ".join(f"{f.seconds(cell.seconds or 0)} ({cell.name})" for cell in (low, high))
    found = times_as_long(results, high, low)
    if found is None:
        return f"training time from {ends}"
    if found.faster is None:
        return f"training time from {ends}: too close to call either faster ({ratio_words(found)})"
    return f"training time from {ends}, {ratio_words(found)}"


def _memory(values: dict[str, float]) -> str:
    if not values:
        return ""
    low, high = min(values, key=lambda name: values[name]), max(values, key=lambda name: values[name])
    if values[low] == values[high]:
        return f"peak memory {f.size(values[low])}"
    ends = " to ".join(f"{f.size(values[name])} ({name})" for name in (low, high))
    return f"peak memory from {ends}, {f.ratio(values[high] / values[low])} as much ({EXACT})"


def _costs(costs: Costs, training: Found) -> Table:
    known = {name for name in OPTIONAL if any(getattr(cost, name, None) for _, cost in costs)}
    if any(_processors(cost) is not None for _, cost in costs):
        known.add("processors")
    differs = differing([run for run, _ in costs])
    columns = [
        Column("run", "Run"),
        *(metric(name, ranked=name not in TIMED) for name in MEASURED if name not in OPTIONAL or name in known),
        *numbered((f"{name} (differs)" for name in differs), "text", "protocol"),
        Column("remark", "Remark"),
    ]
    rows = []
    for run, cost in costs:
        row: dict[str, Any] = {"run": run.name, "remark": training.remark(run)}
        row["unranked"] = is_baseline(run) or not learned(run)
        row |= {column.name: getattr(cost, column.name) for column in columns if hasattr(cost, column.name)}
        row["processors"] = _processors(cost)
        row |= {f"{name}_reason": reason for name, reason in cost.reasons.items()}
        settings = {} if is_baseline(run) else protocol(run)
        row |= {f"protocol{i}": settings.get(name, "–") for i, name in enumerate(differs)}
        rows.append(row)
    caption = "Costs. The least memory is marked among the fine-tuned runs that learned."
    return Table("compute", f"{caption}{_shared([run for run, _ in costs], differs)}", columns, rows)


def _processors(cost: Cost) -> float | None:
    """How many processors the training steps kept busy, on average."""
    used = cost.train_cpu_seconds
    return used / cost.train_seconds if used is not None and cost.train_seconds > 0 else None


def _shared(runs: list[RunRecord], differs: dict[str, list[str]]) -> str:
    """The protocol that all fine-tuned runs share, as far as costs depend on it."""
    settings = next((protocol(run) for run in runs if not is_baseline(run)), {})
    parts = [f"{name} {settings[name]}" for name in STATED if name in settings and name not in differs]
    return f" All fine-tuned runs: {', '.join(parts)}." if parts else ""


def _ratio_tables(results: Results) -> list[Table]:
    tables = []
    for i, (model, runs) in enumerate(by_model(comparable(results)).items()):
        group = cells(runs)
        if len(group) < 2:
            continue
        tables.append(_cheapest(results, i, model, group))
        if len(group) <= PAIRS_SHOWN:
            tables += _pairs(results, i, model, group)
    return tables


def _cheapest(results: Results, index: int, model: str, group: list[Cell]) -> Table:
    fast = min((cell for cell in group if cell.seconds), key=lambda cell: cell.seconds or 0, default=None)
    memory = min((cell.memory for cell in group if cell.memory), default=None)
    columns = [
        Column("cell", "Method"),
        Column("time", "Training time", "ratio"),
        Column("time_interval", "95% interval"),
        Column("memory", "Peak memory", "ratio"),
        metric("accuracy", ranked=False),
    ]
    rows = []
    for cell in group:
        found = times_as_long(results, cell, fast) if fast and cell is not fast else None
        rows.append(
            {
                "cell": cell.name,
                "time": cell.seconds / fast.seconds if cell.seconds and fast and fast.seconds else None,
                "time_interval": span(found) if found else "–",
                "memory": cell.memory / memory if cell.memory and memory else None,
                "accuracy": cell.accuracy,
            }
        )
    return Table(f"cheapest-{f.slug(index, model)}", f"{model}: times the cheapest", columns, rows, small=True)


def _pairs(results: Results, index: int, model: str, group: list[Cell]) -> list[Table]:
    tables = []
    for key, title in (("seconds", "training time"), ("memory", "peak memory")):
        values = [getattr(cell, key) for cell in group]
        if not any(values):
            continue
        columns = [Column("cell", "Row over column"), *numbered((cell.name for cell in group), "ratio", "c")]
        rows = [
            {"cell": cell.name} | {f"c{j}": a / b if a and b else None for j, b in enumerate(values)}
            for cell, a in zip(group, values, strict=True)
        ]
        name = f"pairs-{key}-{f.slug(index, model)}"
        tables.append(Table(name, f"{model}: {title}, row over column", columns, rows, small=True))
        if key == "seconds":
            tables.append(_intervals(results, index, model, group))
    return tables


def _intervals(results: Results, index: int, model: str, group: list[Cell]) -> Table:
    """Of every ratio of times."""
    columns = [Column("cell", "Row over column"), *numbered((cell.name for cell in group), "text", "c")]
    rows = [{"cell": cell.name} | {f"c{j}": _ends(results, cell, b) for j, b in enumerate(group)} for cell in group]
    name = f"pairs-interval-{f.slug(index, model)}"
    return Table(name, f"{model}: training time, row over column, 95% intervals", columns, rows, small=True)


def _ends(results: Results, cell: Cell, other: Cell) -> str:
    found = None if cell is other else times_as_long(results, cell, other)
    return "–" if found is None else span(found)


def _notes(results: Results, costs: Costs) -> list[str]:
    notes = [
        "Training steps: optimisation only, synchronised. Frozen layers: running them once, where their output is "
        "kept; charged in full to every run that uses it. Samples/s counts both.",
        "Two repeats of one run differ by more than 10% in time in a third of cases. Intervals of ratios of times "
        "allow for that, for how steady the steps were and for what the threads waited for others; below 1.3x no "
        "method is called faster. Peak memory is exact.",
    ]
    if differs := differing([run for run, _ in costs]):
        notes.insert(0, f"The rows differ in {f.listing(list(differs), 12)}: compare their costs with care.")
    for say in (held_up, shared_a_device):
        if sentence := say(run for run, _ in costs):
            notes.insert(0, sentence)
    reused = [run.name for run, cost in costs if cost.prefix_reused]
    if reused:
        notes.append(
            f"{f.listing(reused)} reused frozen layers' output of another run; its cost is charged all the same."
        )
    for model, runs in by_model(comparable(results)).items():
        if len(cells(runs)) > PAIRS_SHOWN:
            notes.append(f"{model}: more than {PAIRS_SHOWN} methods, pairs are left out.")
    return notes
