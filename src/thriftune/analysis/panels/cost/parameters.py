"""How many parameters each run trains, the head's apart, and of how many."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display.panel import Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.runs import Costs, costs_of
from thriftune.analysis.findings.views.methods import by_method
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Parameters"
QUESTION = "How many parameters does each method train?"

COLUMNS = [
    Column("run", "Run"),
    *of_kind("int", trained="Trained", adapter="Of these outside the head", head="Of these in the head"),
    Column("total", "Total", "int"),
    Column("share", "Trained share", "percent"),
]


def build(results: Results) -> Panel | NotApplicable:
    """Trained, head and total parameters."""
    costs = costs_of(results.runs, baselines=False)
    if not costs:
        return NotApplicable("No fine-tuned run finished.")
    rows = [_row(run, cost) for run, cost in costs]
    of_runs = Table("parameters", "Parameters of the fine-tuned methods.", COLUMNS, rows)
    return Panel([_range(costs)], [by_method(of_runs, [run for run, _ in costs])])


def _range(costs: Costs) -> str:
    ranked = sorted(costs, key=lambda pair: pair[1].trained_parameters)
    parts = [
        f"{run.cell} trains {f.count(cost.trained_parameters)} parameters ({_share(cost)} of its model)"
        for run, cost in (ranked[0], ranked[-1])
    ]
    return f"{parts[0]}." if ranked[0][0].cell == ranked[-1][0].cell else f"{parts[0]}; {parts[1]}."


def _share(cost: Cost) -> str:
    share = cost.trained_parameters / max(1, cost.total_parameters)
    return f.percent(share, 1 if share >= 0.001 else 3)


def _row(run: RunRecord, cost: Cost) -> dict[str, Any]:
    return {
        "run": run.name,
        "trained": cost.trained_parameters,
        "adapter": cost.trained_parameters - cost.head_parameters,
        "head": cost.head_parameters,
        "total": cost.total_parameters,
        "share": cost.trained_parameters / max(1, cost.total_parameters),
    }
