"""How the page is parted: one question after another, and what of each stands open."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune import wording as f
from thriftune.analysis import panels
from thriftune.analysis.analyse import Section
from thriftune.analysis.display.panel import Chart, Panel, Table

ALL_FOLDED = ("setup",)
"""Parts that hold records, which no reader needs at once."""


@dataclass(frozen=True)
class Question:
    """A part of the page below its first screen."""

    group: str
    name: str
    """In the contents."""
    title: str
    open: Section | None
    folded: list[Section]


def questions(sections: list[Section]) -> list[Question]:
    """The parts that have a panel, in the page's order; the first panel of each stands open."""
    out = []
    for group in panels.GROUPS:
        members = [each for each in sections if each.group == group]
        if members:
            about = panels.group(group)
            split = 0 if group in ALL_FOLDED else 1
            first = members[0] if split else None
            out.append(Question(group, about.TITLE, about.QUESTION, first, members[split:]))
    return out


@dataclass(frozen=True)
class Evidence:
    """Tables and charts that stand together; small ones side by side."""

    tables: list[Table]
    charts: list[Chart]


def evidence(panel: Panel) -> tuple[Evidence, Evidence]:
    """What stands open, one table or chart (of small ones those of one kind), and what is folded."""
    if panel.open_charts and panel.charts:
        return Evidence([], panel.charts[: panel.open_charts]), Evidence(
            panel.tables, panel.charts[panel.open_charts :]
        )
    table = next((each for each in panel.tables if not each.small), None)
    chart = next((each for each in panel.charts if not each.small), None)
    if table is not None:
        return Evidence([table], []), Evidence([each for each in panel.tables if each is not table], panel.charts)
    if chart is not None:
        return Evidence([], [chart]), Evidence(panel.tables, [each for each in panel.charts if each is not chart])
    if panel.tables:
        return Evidence(panel.tables, []), Evidence([], panel.charts)
    return Evidence([], panel.charts), Evidence([], [])


def folded_words(folded: Evidence, notes: list[str]) -> str:
    """What the fold of a panel holds: "2 more tables, 10 more charts and notes"; empty where there is nothing."""
    counts = [(len(folded.tables), "more table"), (len(folded.charts), "more chart")]
    parts = [f.plural(count, noun) for count, noun in counts if count]
    if notes:
        parts.append("how to read this")
    text = f.listing(parts)
    return f"{text[:1].upper()}{text[1:]}"
