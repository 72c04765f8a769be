"""What to take: the ranking without limits, and the methods that nothing beats in both accuracy and a cost."""

from __future__ import annotations

from thriftune import wording as f
from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import (
    Chart,
    Column,
    NotApplicable,
    Panel,
    Table,
    metric,
    of_kind,
    there,
)
from thriftune.analysis.findings.choice import Limits, Ranked, measured, rank, reasons, table_rows
from thriftune.analysis.findings.runs import cells, comparable
from thriftune.analysis.findings.training import still
from thriftune.results.store import Results

TITLE = "Recommendation"
QUESTION = "Which method should I take?"

COLUMNS = [
    Column("rank", "Rank", "int"),
    Column("name", "Method"),
    metric("accuracy"),
    metric("memory", of="peak_memory_bytes"),
    metric("seconds"),
    metric("storage", of="stored_bytes"),
    *of_kind("text", best_for="Not beaten in accuracy and", training="In its last epoch"),
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
        _chart(ranked, "memory", "bytes", "memory", [each.on_memory_front for each in ranked]),
        _chart(ranked, "seconds", "seconds", "training time", [each.on_time_front for each in ranked]),
    ]
    notes = [
        "Order: first the methods whose accuracy's 95% interval overlaps the best one's, the fastest first; then the "
        "others by accuracy. Stored: the model folder, and the pretrained model where that is an adapter.",
        "Your own limits: thriftune recommend, with --memory, --time and --tasks, on this results folder; on a study "
        "file it works from predictions.",
    ]
    sentences = [*reasons(ranked, Limits()), *still(results, cells(comparable(results)))]
    return Panel(sentences, [table], there(found), notes)


def _chart(ranked: list[Ranked], key: str, kind: str, what: str, front: list[bool]) -> Chart | None:
    """Accuracy against a cost; `front` says which of the ranked nothing beats in both."""
    known = [
        (each.candidate, value, unbeaten)
        for each, unbeaten in zip(ranked, front, strict=True)
        if (value := getattr(each.candidate, key)) is not None
    ]
    if not known:
        return None
    divisor, unit, write = chart.unit_of(kind, (value for _, value, _ in known))
    rows = [
        {
            "name": candidate.name,
            "x": chart.short(value / divisor),
            "y": candidate.accuracy,
            "series": SERIES[0 if unbeaten else 1],
            "cost": write(value),
            "accuracy": f.percent(candidate.accuracy or 0),
        }
        for candidate, value, unbeaten in known
    ]
    tooltip = chart.tips(name="method", accuracy="accuracy", cost=what)
    spec = planes.points(rows, x_title=unit, y_title="test accuracy", series=list(SERIES), tooltip=tooltip)
    title = f"Accuracy against {what}"
    description = f"Points: {title.lower()} of every measured method; those that no other beats in both stand out."
    return Chart(f"recommendation-{key}", title, description, spec, small=True)
