"""Depth against method: accuracy and cost by how many layers gradients pass and by what is trained in them."""

from __future__ import annotations

from typing import Any

import numpy as np

from thriftune import wording as f
from thriftune.analysis.display.cost_lines import COSTS, cost_lines
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, there
from thriftune.analysis.findings.runs import Cell, by_model, cells, comparable, shared_a_device
from thriftune.analysis.findings.training import AT, trained
from thriftune.metrics import Kind
from thriftune.results.store import Results

TITLE = "Depth or method"
QUESTION = "Does cost follow how deep a method trains, or what it trains there?"

QUANTITIES: dict[str, tuple[str, Kind]] = {
    "accuracy": ("Test accuracy", "percent"),
    "seconds": (COSTS["seconds"], "seconds"),
    "memory": (COSTS["memory"], "bytes"),
}


def build(results: Results) -> Panel | NotApplicable:
    """A table of depth by method for accuracy, time and memory, and a sentence on which of the two costs follow."""
    groups = {model: placed(cells(runs)) for model, runs in by_model(comparable(results)).items()}
    groups = {model: grid for model, grid in groups.items() if _crossed(grid)}
    if not groups:
        return NotApplicable("No two methods ran at two depths each, so depth and method cannot be told apart.")
    sentences, tables, charts = [], [], []
    for index, (model, grid) in enumerate(groups.items()):
        where = f"{model}: " if len(groups) > 1 else ""
        sentences += [where + text for text in there(_sentence(grid, key) for key in COSTS)]
        tables += [_table(index, model, grid, key) for key in QUANTITIES]
        charts += there(_chart(index, model, grid, key) for key in COSTS)
    notes = [
        "Depth: the encoder layers that gradients pass. Another rank is a method of its own. Shares of the variation: "
        "two-way analysis of variance on the logarithm, over the methods and depths that are complete."
    ]
    training = trained(results)
    if still := training.names(cell for grid in groups.values() for cell in grid.values()):
        notes.append(f"Accuracies are those {AT}: still improving in the last epoch, {f.listing(still)}.")
    crossed = [run for grid in groups.values() for cell in grid.values() for run in cell.runs]
    notes += [sentence] if (sentence := shared_a_device(crossed)) else []
    return Panel(sentences or ["Neither time nor memory was measured."], tables, charts, notes)


Grid = dict[tuple[str, int], Cell]
"""Cells by method (its settings but for depth) and depth."""


def placed(group: list[Cell]) -> Grid:
    """Where each cell stands; of two with the same method and depth the first stays."""
    grid: Grid = {}
    for cell in group:
        cost = cell.runs[0].cost
        if cost is not None and cost.gradient_layers is not None:
            grid.setdefault((_kind(cell), cost.gradient_layers), cell)
    return grid


def _kind(cell: Cell) -> str:
    """The method with what tells it apart but for the layers."""
    method = dict(cell.runs[0].method)
    name = str(method["name"])
    return f"{name} r{method['rank']}" if method.get("rank") is not None else name


def _crossed(grid: Grid) -> bool:
    methods, depths = _complete(grid)
    return len(methods) > 1 and len(depths) > 1


def _complete(grid: Grid) -> tuple[list[str], list[int]]:
    """The methods that ran at several depths, and the depths at which all of those ran."""
    names = list(dict.fromkeys(name for name, _ in grid))
    methods = [name for name in names if len({depth for kind, depth in grid if kind == name}) > 1]
    depths = sorted({depth for _, depth in grid if all((name, depth) in grid for name in methods)})
    return methods, depths if methods else []


def shares(grid: Grid, key: str) -> tuple[float, float] | None:
    """How much of the variation of a cost's logarithm depth and method explain, each from 0 to 1.

    Two-way analysis of variance without repeats (Fisher, 1925) over the complete part of the grid; the rest is their
    interaction. None where a cost is not known or nothing varies.
    """
    methods, depths = _complete(grid)
    values = [[getattr(grid[name, depth], key) for depth in depths] for name in methods]
    if any(not value for row in values for value in row):
        return None
    logs = np.log(np.array(values, dtype=np.float64))
    centred = logs - logs.mean()
    total = float((centred**2).sum())
    if total == 0:
        return None
    by_depth = len(methods) * float((centred.mean(axis=0) ** 2).sum())
    by_method = len(depths) * float((centred.mean(axis=1) ** 2).sum())
    return by_depth / total, by_method / total


def _sentence(grid: Grid, key: str) -> str | None:
    found = shares(grid, key)
    if found is None:
        return None
    by_depth, by_method = found
    methods, depths = _complete(grid)
    what = QUANTITIES[key][0].lower()
    if by_depth > 2 * by_method:
        verdict = "follows depth"
    elif by_method > 2 * by_depth:
        verdict = "follows the method"
    else:
        verdict = "follows both"
    text = f"{what.capitalize()} {verdict}: over {f.listing(methods)} at {f.listing([str(n) for n in depths])} layers, "
    text += f"depth explains {f.percent(by_depth, 0)} of its variation and the method {f.percent(by_method, 0)}."
    return f"{text} {_extremes(grid, key, methods, depths)}"


def _extremes(grid: Grid, key: str, methods: list[str], depths: list[int]) -> str:
    """The same two effects as ratios: the deepest over the shallowest, the dearest method over the cheapest."""

    def read(name: str, depth: int) -> float:
        return getattr(grid[name, depth], key) or 0

    deep = [read(name, depths[-1]) / (read(name, depths[0]) or 1) for name in methods]
    wide = []
    for depth in depths:
        values = [read(name, depth) for name in methods]
        wide.append(max(values) / min(values))
    by_depth, by_method = (float(np.exp(np.log(each).mean())) for each in (deep, wide))
    return (
        f"From {f.plural(depths[0], 'layer')} to {depths[-1]} it rises {f.ratio(by_depth)}; at one depth the dearest "
        f"method takes {f.ratio(by_method)} the cheapest one's (geometric means)."
    )


def _table(index: int, model: str, grid: Grid, key: str) -> Table:
    title, kind = QUANTITIES[key]
    depths = sorted({depth for _, depth in grid})
    columns = [Column("method", "Method")]
    columns += [Column(f"d{depth}", _layers(depth), kind) for depth in depths]
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(name for name, _ in grid):
        at = {f"d{depth}": getattr(grid[name, depth], key) for depth in depths if (name, depth) in grid}
        rows.append({"method": name} | at)
    name = f"depth-{key}-{f.slug(index, model)}"
    return Table(name, f"{model}: {title.lower()} by method and depth", columns, rows, small=True)


def _layers(depth: int) -> str:
    return "head alone" if depth == 0 else f.plural(depth, "layer")


def _chart(index: int, model: str, grid: Grid, key: str) -> Chart | None:
    known = [
        (name, depth, getattr(cell, key)) for (name, depth), cell in grid.items() if getattr(cell, key) is not None
    ]
    return cost_lines(
        key,
        sorted(known, key=lambda each: each[1]),
        list(dict.fromkeys(name for name, _ in grid)),
        name=f"depth-{key}-{f.slug(index, model)}",
        title=f"{model}: {COSTS[key].lower()}",
        x=("layers", "layers with gradients"),
        over="number of layers that gradients pass",
    )
