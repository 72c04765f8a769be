"""How many parameters each run trains, the head's apart, and of how many."""

from __future__ import annotations

from typing import Any

from thriftune import wording as f
from thriftune.analysis.display import categories, chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, of_kind
from thriftune.analysis.findings.runs import Costs, costs_of
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TITLE = "Parameters"
QUESTION = "How many parameters does each method train?"

SERIES = {"trained": "trained, head included", "head": "head", "total": "total"}
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
    table = Table("parameters", "Parameters of the fine-tuned runs.", COLUMNS, rows)
    return Panel([_range(costs)], [table], [_chart(costs)])


def _range(costs: Costs) -> str:
    ranked = sorted(costs, key=lambda pair: pair[1].trained_parameters)
    parts = [
        f"{run.name} trains {f.count(cost.trained_parameters)} parameters ({_share(cost)} of its model)"
        for run, cost in (ranked[0], ranked[-1])
    ]
    return f"{parts[0]}." if len(costs) == 1 else f"{parts[0]}; {parts[1]}."


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


def _chart(costs: Costs) -> Chart:
    rows = []
    for run, cost in costs:
        values = {
            "trained": cost.trained_parameters,
            "head": cost.head_parameters,
            "total": cost.total_parameters,
        }
        rows += [
            {"name": run.name, "series": SERIES[key], "value": value} for key, value in values.items() if value > 0
        ]
    tooltip = chart.tips(name="run", series="parameters", value=("number", ","))
    spec = categories.dots(
        rows,
        x_title="parameters (log scale)",
        order=[run.name for run, _ in costs],
        series=list(SERIES.values()),
        tooltip=tooltip,
        log=True,
    )
    description = "Points on a log scale: trained, head and total parameters of each run."
    return Chart("parameters", "Trained and total parameters", description, spec)
