"""What each trained model takes on disk."""

from __future__ import annotations

from thriftune.analysis import chart
from thriftune.analysis import format as f
from thriftune.analysis.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.runs import is_baseline
from thriftune.results.record import Cost, RunRecord
from thriftune.results.store import Results

ORDER = 60
GROUP = "cost"
TITLE = "Storage"
QUESTION = "How much must be stored for each trained model?"

STORED, DELTA = "stored weights", "trained tensors alone"
COLUMNS = [
    Column("run", "Run"),
    Column("stored_bytes", "Stored weights", "bytes", higher_is_better=False),
    Column("delta_bytes", "Trained tensors alone", "bytes", higher_is_better=False),
    Column("ratio", "Stored, times the least", "ratio"),
]


def build(results: Results) -> Panel | NotApplicable:
    """Stored and trained bytes of every run."""
    costs = [(run, run.cost) for run in results.runs if run.cost is not None]
    if not costs:
        return NotApplicable("No run finished, so nothing was stored.")
    least = min((cost.stored_bytes for run, cost in costs if not is_baseline(run) and cost.stored_bytes), default=0)
    rows = [
        {
            "run": run.name,
            "stored_bytes": cost.stored_bytes,
            "delta_bytes": cost.delta_bytes,
            "ratio": cost.stored_bytes / least if least else None,
            "unranked": is_baseline(run),
        }
        for run, cost in costs
    ]
    notes = [
        "Stored weights: the weight files in the run's model folder. An adapter needs its pretrained model "
        "beside it, once for all adapters. Best values are marked among the fine-tuned runs."
    ]
    return Panel(_sentences(costs), [Table("storage", "Bytes on disk.", COLUMNS, rows)], [_chart(costs)], notes)


def _sentences(costs: list[tuple[RunRecord, Cost]]) -> list[str]:
    tuned = [(run, cost) for run, cost in costs if not is_baseline(run)]
    if not tuned:
        return ["Only baselines were stored."]
    ranked = sorted(tuned, key=lambda pair: pair[1].stored_bytes)
    (low, least), (high, most) = ranked[0], ranked[-1]
    if len(tuned) == 1:
        return [f"{low.name} stores {f.size(least.stored_bytes)}."]
    text = f"{low.name} stores least, {f.size(least.stored_bytes)}; "
    text += f"{high.name} most, {f.size(most.stored_bytes)}"
    if least.stored_bytes:
        text += f", {f.ratio(most.stored_bytes / least.stored_bytes)} as much"
    return [f"{text}."]


def _chart(costs: list[tuple[RunRecord, Cost]]) -> Chart:
    divisor, unit = chart.byte_unit(max(cost.stored_bytes, cost.delta_bytes) for _, cost in costs)
    rows = [
        {"name": run.name, "series": series, "value": chart.short(value / divisor), "text": f.size(value)}
        for run, cost in costs
        for series, value in ((STORED, cost.stored_bytes), (DELTA, cost.delta_bytes))
    ]
    tooltip = [chart.tip("name", "run"), chart.tip("series", "what"), chart.tip("text", "size")]
    order = [run.name for run, _ in costs]
    spec = chart.bars(rows, x="value", x_title=unit, order=order, series=[STORED, DELTA], tooltip=tooltip)
    return Chart("storage", "Storage", "Bars: stored weights and trained tensors of each run.", spec)
