"""What to take: the ranking without limits, and the methods that nothing beats in both accuracy and a cost."""

from __future__ import annotations

from thriftune.analysis.display import chart, planes
from thriftune.analysis.display.panel import Chart, Column, NotApplicable, Panel, Table, metric, of_kind, there
from thriftune.analysis.findings.choice import Limits, Ranked, advise, measured, reasons, table_rows
from thriftune.analysis.findings.deciding import Deciding, deciding
from thriftune.analysis.findings.decision import decide, headline, statistics
from thriftune.analysis.findings.runs import cells, comparable
from thriftune.analysis.findings.training import still
from thriftune.results.store import Results

TITLE = "Recommendation"
QUESTION = "Which method should I take?"

SERIES = ("not beaten", "beaten by another")


def build(results: Results) -> Panel | NotApplicable:
    """The decision, the measured methods in order of choice, and their scores against memory and time."""
    decision, candidates = decide(results), measured(results)
    if len(decision.standings) < 2:
        return NotApplicable("Fewer than two methods were tested, so there is no choice.")
    if not candidates:
        return Panel([headline(decision)], statistics=statistics(decision))
    about, advice = deciding(results), advise(candidates, Limits(), results)
    ranked = advice.ranked
    table = Table("recommendation", "Methods in order of choice.", _columns(about), table_rows(ranked, 1))
    found = [
        _chart(ranked, about, "memory", "bytes", "memory", [each.on_memory_front for each in ranked]),
        _chart(ranked, about, "seconds", "seconds", "training time", [each.on_time_front for each in ranked]),
    ]
    tolerance = about.apart(decision.tolerance)
    notes = [
        f"The rule: the fastest method that is shown to lie at most {tolerance} (the study's tolerance) below the "
        "best, whichever that is, and that no verdict calls worse; else the best. Below the best: paired on the same "
        "texts, all methods at once at 95% (Hsu, 1984).",
        "Stored: the model folder, and the pretrained model where that is an adapter. A baseline's memory is that of "
        "the arrays alive while it was fitted, as a fine-tuned method's is that of its tensors.",
        "Your own limits: thriftune recommend, with --memory, --time, --latency and --tasks, on this results folder; "
        "on a study file it works from predictions.",
    ]
    sentences = [*reasons(advice), *still(results, cells(comparable(results)))]
    return Panel(sentences, [table], there(found), notes, statistics(decision))


def _columns(about: Deciding) -> list[Column]:
    score = [] if about.metric == "accuracy" else [metric("score", of=about.metric)]
    return [
        Column("rank", "Rank", "int"),
        Column("name", "Method"),
        *score,
        metric("accuracy"),
        Column("below", "Points below the best"),
        metric("memory", of="peak_memory_bytes"),
        metric("seconds"),
        metric("storage", of="stored_bytes"),
        *of_kind("text", best_for=f"Not beaten in {about.name} and", training="In its last epoch"),
    ]


def _chart(ranked: list[Ranked], about: Deciding, key: str, kind: str, what: str, front: list[bool]) -> Chart | None:
    """The score against a cost; `front` says which of the ranked nothing beats in both."""
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
            "y": candidate.score,
            "series": SERIES[0 if unbeaten else 1],
            "cost": write(value),
            "accuracy": about.said(candidate.score or 0),
        }
        for candidate, value, unbeaten in known
    ]
    tooltip = chart.tips(name="method", accuracy=about.name, cost=what)
    spec = planes.points(rows, x_title=unit, y_title=f"test {about.name}", series=list(SERIES), tooltip=tooltip)
    title = f"{about.name[0].upper()}{about.name[1:]} against {what}"
    description = f"Points: {title} of every measured method; those that no other beats in both stand out."
    return Chart(f"recommendation-{key}", title, description, spec, small=True)
