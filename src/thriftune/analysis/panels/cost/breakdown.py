"""What each run's memory and seconds go to, part by part, and which part makes the difference."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, there
from thriftune.analysis.findings.runs import Costs, by_model, cells, costs_of, shared_a_device, training_seconds
from thriftune.analysis.findings.views.methods import by_method
from thriftune.metrics import Kind
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Where the cost comes from"
QUESTION = "What are memory and time spent on, and why does one method need more than another?"

MEMORY = ("weights", "gradients", "optimizer", "activations", "cache", "other")
UNKNOWN = "not told apart"
STEP = ("data", "forward", "backward", "optimizer")
PASSES = {"head": "without the method", "reach": "backward to its lowest layer", "own": "its own products"}
REASONS = {
    "weights": "the model itself",
    "gradients": "a gradient for each trained weight",
    "optimizer": "AdamW keeps two numbers for each trained weight",
    "cache": "the frozen layers' output is kept in memory",
    "other": "what backward makes and drops again",
    UNKNOWN: "its parts were not told apart",
}


def build(results: Results) -> Panel | NotApplicable:
    """Stacked parts of memory and time of every run, and one sentence on each for every model."""
    costs = costs_of(results.runs, baselines=False)
    if not costs:
        return NotApplicable("No fine-tuned run finished, so nothing was measured.")
    sentences = []
    for runs in by_model(run for run, _ in costs).values():
        group = [(run, cost) for run, cost in costs if run in runs]
        sentences += [text for say in (_memory_sentence, _time_sentence) if (text := say(group)) is not None]
    tables = [_memory_table(costs), *_time_tables(costs)]
    charts = there((_memory_chart(costs), _step_chart(costs), _pass_chart(costs)))
    notes = [
        "Memory: at a training step's peak; its parts add up to it. Step: the least seconds of some untimed steps on "
        "a typical batch, beside the training and not part of it.",
        "Without the method: adapters off, only the head gets gradients. Backward to its lowest layer: what gradients "
        "down to the lowest trained layer add to that. Its own products: the rest of forward and backward.",
    ]
    notes += [sentence] if (sentence := shared_a_device(run for run, _ in costs)) else []
    return Panel(sentences or ["The parts of memory and time were not measured."], tables, charts, notes)


def memory_parts(cost: Cost) -> dict[str, float]:
    """Bytes at the peak by category; under one name where they were not told apart."""
    return asdict(cost.memory) if cost.memory is not None else {UNKNOWN: cost.peak_memory_bytes or 0}


def _memory_sentence(group: Costs) -> str | None:
    """What dominates the peak of the run that needs most, and why another needs less."""
    known = [(run, cost) for run, cost in group if cost.peak_memory_bytes and cost.memory is not None]
    if not known:
        return None
    run, cost = max(known, key=lambda pair: pair[1].peak_memory_bytes or 0)
    parts, peak = memory_parts(cost), cost.peak_memory_bytes or 1
    name = max(parts, key=lambda part: parts[part])
    text = f"Most memory: {run.cell}, {f.size(peak)}; {f.percent(parts[name] / peak, 0)} of that is "
    text += f"{'saved ' if name == 'activations' else ''}{'optimiser state' if name == 'optimizer' else name}"
    text += f" ({_why(name, cost)})."
    return " ".join([text, *_activation_contrast(known)])


def _why(part: str, cost: Cost) -> str:
    if part != "activations":
        return REASONS[part]
    if cost.gradient_layers is None:
        return "kept for the backward pass"
    return f"it keeps activations of {_of_layers(cost)}"


def _of_layers(cost: Cost) -> str:
    return f"{cost.gradient_layers} of {f.plural(cost.layers or 0, 'layer')}"


def _activation_contrast(known: Costs) -> list[str]:
    """The pair where fewer trained parameters went with the most extra activations, explained by depth."""
    pairs = [
        (cost.memory.activations / other.memory.activations, (run, cost), (less, other))
        for run, cost in known
        for less, other in known
        if cost.memory and other.memory and other.memory.activations
        if cost.trained_parameters < other.trained_parameters
        if (cost.gradient_layers or 0) > (other.gradient_layers or 0) > 0
    ]
    if not pairs or max(pairs, key=lambda pair: pair[0])[0] <= 1.1:
        return []
    ratio, (deep, cost), (shallow, other) = max(pairs, key=lambda pair: pair[0])
    return [
        f"{deep.cell} trains fewer parameters than {shallow.cell} and saves {f.ratio(ratio)} the activations: its "
        f"gradients pass {_of_layers(cost)}; those of {shallow.cell} pass {_of_layers(other)}."
    ]


def _time_sentence(group: Costs) -> str | None:
    """How much of the slowest adapter's (else the slowest run's) step is its own work, how much its depth."""
    known = [
        (run, cost, asdict(cost.pass_seconds), sum(asdict(cost.step_seconds).values()))
        for run, cost in group
        if cost.pass_seconds is not None and cost.step_seconds is not None
    ]
    if not known:
        return None
    sparse = [each for each in known if each[1].trained_parameters < 0.1 * each[1].total_parameters]
    run, _, passes, step = max(sparse or known, key=lambda each: each[3])
    reach, own = max(0.0, passes["reach"]), max(0.0, passes["own"])
    text = f"A step of {run.cell} takes {f.seconds(step)}"
    if reach + own == 0:
        return f"{text}, all of it for the forward pass, the head and the update."
    text += (
        f": {f.percent(passes['head'] / step, 0)} the forward through the layers that run, "
        f"{f.percent(reach / step, 0)} backpropagation to its lowest trained layer, "
        f"{f.percent(own / step, 0)} its own matrix products."
    )
    larger = "backpropagation through the layers" if reach >= own else "the method's own products"
    return f"{text} What makes it slow beyond the forward pass is {larger}."


def _memory_table(costs: Costs) -> Table:
    names = [name for name in (*MEMORY, UNKNOWN) if any(memory_parts(cost).get(name) for _, cost in costs)]
    columns = [Column("run", "Run"), Column("peak", "Peak", "bytes")]
    columns += [Column(name, name.capitalize(), "bytes") for name in names]
    if any(cost.peak_reserved_bytes is not None for _, cost in costs):
        columns.append(Column("reserved", "Reserved by the allocator", "bytes"))
    columns.append(Column("layers", "Layers with gradients"))
    rows = []
    for run, cost in costs:
        depth = None if cost.gradient_layers is None else f"{cost.gradient_layers} of {cost.layers}"
        row: dict[str, Any] = {
            "run": run.name,
            "peak": cost.peak_memory_bytes,
            "reserved": cost.peak_reserved_bytes,
            "layers": depth,
        }
        rows.append(row | memory_parts(cost))
    of_runs = Table("memory-parts", "Memory at the peak, by what it is for.", columns, rows)
    return by_method(of_runs, [run for run, _ in costs])


def _time_tables(costs: Costs) -> list[Table]:
    known = [(run, cost, cost.step_seconds) for run, cost in costs if cost.step_seconds is not None]
    if not known:
        return []
    kind: Kind = "seconds"
    columns = [Column("run", "Run"), Column("train", "Training", kind)]
    columns += [Column(name, name.capitalize(), kind) for name in STEP]
    columns += [Column(name, label.capitalize(), kind) for name, label in PASSES.items()]
    rows = []
    for run, cost, phases in known:
        row: dict[str, Any] = {"run": run.name, "train": training_seconds(run)} | asdict(phases)
        if cost.pass_seconds is not None:
            row |= asdict(cost.pass_seconds)
        else:
            row |= {f"{name}_reason": cost.reasons.get("pass_seconds", "not measured") for name in PASSES}
        rows.append(row)
    caption = "One step on a typical batch: its phases, then its forward and backward by what they are for."
    return [by_method(Table("time-parts", caption, columns, rows), [run for run, *_ in known])]


def _stacked(
    name: str, title: str, description: str, kind: str, costs: list[tuple[RunRecord, dict[str, float]]]
) -> Chart | None:
    of_run = {run.run_id: parts for run, parts in costs}
    methods = [(cell.name, _mean([of_run[run.run_id] for run in cell.runs])) for cell in cells(run for run, _ in costs)]
    divisor, unit, write = chart.unit_of(kind, (sum(parts.values()) for _, parts in methods))
    rows = [
        {
            "name": method,
            "series": part,
            "series_order": i,
            "value": chart.short(value / divisor),
            "text": write(value),
            "total": write(sum(parts.values())),
        }
        for method, parts in methods
        for i, (part, value) in enumerate(parts.items())
        if value > 0
    ]
    if not rows:
        return None
    drawn = {row["series"] for row in rows}
    series = list(dict.fromkeys(part for _, parts in costs for part in parts if part in drawn))
    tooltip = chart.tips(name="method", series="for", text="amount", total="in all")
    order = [method for method, _ in methods]
    spec = categories.bars(rows, x="value", x_title=unit, order=order, tooltip=tooltip, series=series, stacked=True)
    means = ", means over seeds" if len(methods) < len(costs) else ""
    return Chart(name, title, f"Bars: {description}, a bar for each method{means}.", spec)


def _mean(runs: list[dict[str, float]]) -> dict[str, float]:
    """The mean of each part over a method's runs; a part that one lacks counts nothing there."""
    names = dict.fromkeys(name for parts in runs for name in parts)
    return {name: sum(parts.get(name, 0.0) for parts in runs) / len(runs) for name in names}


def _memory_chart(costs: Costs) -> Chart | None:
    known = [(run, memory_parts(cost)) for run, cost in costs if cost.peak_memory_bytes is not None]
    description = "memory at the training step's peak, by what it is for"
    return _stacked("peak-memory", "Peak memory", description, "bytes", known)


def _step_chart(costs: Costs) -> Chart | None:
    known = [(run, asdict(cost.step_seconds)) for run, cost in costs if cost.step_seconds is not None]
    return _stacked(
        "step-phases", "A step by phase", "seconds of one step on a typical batch, by phase", "seconds", known
    )


def _pass_chart(costs: Costs) -> Chart | None:
    known = [
        (run, {label: getattr(cost.pass_seconds, name) for name, label in PASSES.items()})
        for run, cost in costs
        if cost.pass_seconds is not None
    ]
    description = "forward and backward of one step, by how far gradients go and the method's own work"
    return _stacked("step-depth", "Forward and backward by cause", description, "seconds", known)
