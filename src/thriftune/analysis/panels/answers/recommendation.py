"""What to take: the ranking without limits, and the methods that nothing beats in both accuracy and a cost."""

from __future__ import annotations

from collections.abc import Callable

from thriftune import wording as f
from thriftune.analysis.display import chart
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table
from thriftune.analysis.findings.choice import Candidate, Limits, Ranked, measured, rank, reasons, table_rows
from thriftune.analysis.findings.runs import cells, comparable
from thriftune.analysis.findings.training import pointer, trained
from thriftune.results.store import Results

TITLE = "Recommendation"
QUESTION = "Which method should I take?"

COLUMNS = [
    Column("rank", "Rank", "int"),
    Column("name", "Method"),
    Column("accuracy", "Accuracy", "percent", higher_is_better=True),
    Column("memory", "Peak memory", "bytes", higher_is_better=False),
    Column("seconds", "Training", "seconds", higher_is_better=False),
    Column("storage", "Stored", "bytes", higher_is_better=False),
    Column("best_for", "Not beaten in accuracy and"),
    Column("training", "In its last epoch"),
]
SERIES = ("not beaten", "beaten by another")


def build(results: Results) -> Panel | NotApplicable:
    """The ranking of the measured cells, and accuracy against memory and time."""
    candidates = measured(results)
    if len(candidates) < 2:
        return NotApplicable("Fewer than two fine-tuned methods learned, so there is no choice.")
    ranked = rank(candidates, Limits())
    table = Table("recommendation", "Measured cells in order of choice.", COLUMNS, table_rows(ranked, 1))
    found = [
        _chart(ranked, "memory", "Accuracy against memory", chart.byte_unit, f.size),
        _chart(ranked, "seconds", "Accuracy against training time", chart.time_unit, f.seconds),
    ]
    notes = [
        "Order: first the methods whose accuracy's 95% interval overlaps the best one's, the fastest first; then the "
        "others by accuracy. Stored: the model folder, and the pretrained model where that is an adapter.",
        "Your own limits: thriftune recommend, with --memory, --time and --tasks, on this results folder; on a study "
        "file it works from predictions.",
    ]
    return Panel(
        [*reasons(ranked, Limits()), *improving(results)], [table], [each for each in found if each is not None], notes
    )


def improving(results: Results) -> list[str]:
    """Which methods were still improving, and where the command stands that would tell; empty where none was."""
    found = trained(results)
    names = found.names(cells(comparable(results)))
    return [f"Still improving in the last epoch: {f.listing(names)}.{pointer(results)}"] if names else []


def _chart(
    ranked: list[Ranked],
    key: str,
    title: str,
    unit_of: Callable[[list[float]], tuple[float, str]],
    write: Callable[[float], str],
) -> Chart | None:
    def cost(candidate: Candidate) -> float | None:
        value: float | None = getattr(candidate, key)
        return value

    known = [(each, value) for each in ranked if (value := cost(each.candidate)) is not None]
    if not known:
        return None
    divisor, unit = unit_of([value for _, value in known])
    rows = [
        {
            "name": each.candidate.name,
            "x": chart.short(value / divisor),
            "y": each.candidate.accuracy,
            "series": SERIES[0 if (each.on_memory_front if key == "memory" else each.on_time_front) else 1],
            "cost": write(value),
            "accuracy": f.percent(each.candidate.accuracy or 0),
        }
        for each, value in known
    ]
    tips = {"name": "method", "accuracy": "accuracy", "cost": title.rsplit(" against ", maxsplit=1)[-1]}
    tooltip = [chart.tip(field, label) for field, label in tips.items()]
    spec = chart.points(rows, x_title=unit, y_title="test accuracy", series=list(SERIES), tooltip=tooltip, share=True)
    description = f"Points: {title.lower()} of every measured method; those that no other beats in both stand out."
    return Chart(f"recommendation-{key}", title, description, spec, small=True)
