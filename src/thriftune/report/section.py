"""The panels in the order of the page, and what of each stands open."""

from __future__ import annotations

from dataclasses import dataclass

from thriftune.analysis import format as f
from thriftune.analysis.panel import Chart, Group, NotApplicable, Panel, Table, discover
from thriftune.results.store import Results

GROUPS: dict[Group, str] = {
    "answers": "Summary",
    "performance": "Performance",
    "cost": "Cost",
    "errors": "Errors",
    "data": "Data",
    "setup": "Setup",
}
"""Headings of the report's parts, in reading order; the explorer stands before the last."""


@dataclass(frozen=True)
class Evidence:
    """Tables and charts that stand together; small ones side by side."""

    tables: list[Table]
    charts: list[Chart]

    @property
    def summary(self) -> str:
        """What a fold over them says: "2 more tables and 10 more charts"."""
        counts = [(len(self.tables), "more table"), (len(self.charts), "more chart")]
        return f.listing([f.plural(count, noun) for count, noun in counts if count])


@dataclass(frozen=True)
class Section:
    """One panel with its place in the page."""

    id: str
    group: Group
    title: str
    question: str
    panel: Panel

    @property
    def evidence(self) -> tuple[Evidence, Evidence]:
        """What stands open, the first large table and chart (else all small ones), and what is folded."""
        table = next((each for each in self.panel.tables if not each.small), None)
        chart = next((each for each in self.panel.charts if not each.small), None)
        if table is None and chart is None:
            return Evidence(self.panel.tables, self.panel.charts), Evidence([], [])
        rest = Evidence(
            [each for each in self.panel.tables if each is not table],
            [each for each in self.panel.charts if each is not chart],
        )
        return Evidence([table] if table else [], [chart] if chart else []), rest


def build(results: Results) -> tuple[list[Section], list[tuple[str, str]]]:
    """All panels that apply in the page's order, and the title and reason of those that do not.

    A panel that names no group stands with the errors.
    """
    sections, skipped = [], []
    for module in discover():
        answer = module.build(results)
        if isinstance(answer, NotApplicable):
            skipped.append((module.TITLE, answer.reason))
        else:
            name = module.__name__.rsplit(".", 1)[-1]
            group: Group = getattr(module, "GROUP", "errors")
            sections.append(Section(name, group, module.TITLE, module.QUESTION, answer))
    return sorted(sections, key=lambda section: list(GROUPS).index(section.group)), skipped
