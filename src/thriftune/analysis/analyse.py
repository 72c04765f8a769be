"""The analysis of a study as one step: every panel once, for the page, the terminal and Python alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from thriftune.analysis import panels
from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings import training
from thriftune.results.store import Results


@dataclass(frozen=True)
class Section:
    """One panel with its place in the page."""

    id: str
    group: str
    title: str
    question: str
    panel: Panel


@dataclass(frozen=True)
class Skipped:
    """A panel whose question does not arise, and why."""

    id: str
    group: str
    title: str
    reason: str


@dataclass(frozen=True)
class Analysis:
    """What all panels say of a study."""

    results: Results
    sections: list[Section]
    """The panels that apply, in the page's order."""
    skipped: list[Skipped]

    @property
    def statistics(self) -> dict[str, dict[str, Any]]:
        """What `results.json` keeps of it, by panel."""
        found = {section.id: section.panel.statistics for section in self.sections if section.panel.statistics}
        return {**found, "training": training.statistics(self.results)}


def analyse(results: Results) -> Analysis:
    """Asks every panel, once."""
    sections, skipped = [], []
    for place in panels.places():
        answer = place.panel.build(results)
        if isinstance(answer, NotApplicable):
            skipped.append(Skipped(place.name, place.group, place.panel.TITLE, answer.reason))
        else:
            sections.append(Section(place.name, place.group, place.panel.TITLE, place.panel.QUESTION, answer))
    return Analysis(results, sections, skipped)
