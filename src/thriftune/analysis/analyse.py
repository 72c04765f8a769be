"""The analysis of a study as one step: every panel once, for the page, the terminal and Python alike."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from thriftune.analysis import panels
from thriftune.analysis.display.colours import coloured, colours
from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.analysis.findings import training
from thriftune.results.record import StudyResults
from thriftune.results.soundness import check_results
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
    quiet: bool = False
    """Whether the page does not say so either."""


@dataclass(frozen=True)
class Analysis:
    """What all panels say of a study."""

    results: Results
    sections: list[Section]
    """The panels that apply, in the page's order."""
    skipped: list[Skipped]

    def panel(self, name: str) -> Panel | NotApplicable:
        """A panel's answer by its name; raises `KeyError` where there is no such panel."""
        answers: dict[str, Panel | NotApplicable] = {each.id: each.panel for each in self.sections}
        return (answers | {each.id: NotApplicable(each.reason) for each in self.skipped})[name]

    @property
    def statistics(self) -> dict[str, Any]:
        """What `results.json` keeps of it: the name of every panel is a key of that file.

        A panel that applies has its numbers there (empty where they are those of the records), another one null and,
        under NAME_reason, why. `profile` and `environment` are keys of the study's own.
        """
        own = {field.name for field in fields(StudyResults)}
        found: dict[str, Any] = {each.id: each.panel.statistics for each in self.sections if each.id not in own}
        for each in self.skipped:
            found |= {each.id: None, f"{each.id}_reason": each.reason}
        return found | {"training": training.statistics(self.results)}


def analyse(results: Results) -> Analysis:
    """Asks every panel, once."""
    sections, skipped, hues = [], [], colours(results)
    for place in panels.places():
        answer = place.panel.build(results)
        if isinstance(answer, NotApplicable):
            skipped.append(Skipped(place.name, place.group, place.panel.TITLE, answer.reason, answer.quiet))
        else:
            panel = coloured(answer, hues)
            sections.append(Section(place.name, place.group, place.panel.TITLE, place.panel.QUESTION, panel))
    return Analysis(results, sections, skipped)


def analysed(results: Results) -> Analysis:
    """The analysis of results that are sound, its statistics put into `results.json` and into the results themselves.

    Raises `DamagedError` that names the file where a run's predictions or scores are not what it left.
    """
    check_results(results)
    analysis = analyse(results)
    results.store.add_statistics(results, analysis.statistics)
    return analysis
