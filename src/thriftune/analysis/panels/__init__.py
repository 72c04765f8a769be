"""The panels of the report, one file each: the folder is the part of the page, its list the order."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol, cast

from thriftune import plugins
from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.results.store import Results

GROUPS = ("answers", "performance", "cost", "errors", "data", "setup")
"""In the page's order."""
ENTRY_POINTS = "thriftune.panels"
"""The entry points by which other packages add panels; a `GROUP` says in which part, the last one where there is none.
"""


class PanelModule(Protocol):
    """The members of a panel's file; its docstring says what it answers, its name is its key in `results.json`."""

    __name__: str
    TITLE: str
    QUESTION: str

    def build(self, results: Results) -> Panel | NotApplicable:
        """Answers the question."""
        ...


def group(name: str) -> ModuleType:
    """A part of the page: its TITLE in the contents, its QUESTION, and its PANELS by name."""
    return importlib.import_module(f"{__name__}.{name}")


@dataclass(frozen=True)
class Place:
    """A panel, its name in `results.json` and the part of the page where it stands."""

    name: str
    group: str
    panel: PanelModule


def built_in() -> list[Place]:
    """The panels of this package, in the page's order."""
    return [
        Place(name, part, cast(PanelModule, importlib.import_module(f"{__name__}.{part}.{name}")))
        for part in GROUPS
        for name in group(part).PANELS
    ]


def places() -> list[Place]:
    """All panels, in the page's order; those of other packages (entry points) come last in their part."""
    own = built_in()
    others = plugins.load(ENTRY_POINTS, [place.name for place in own], flaw)
    added = [Place(name, getattr(panel, "GROUP", GROUPS[-1]), _PlugIn(name, panel)) for name, panel in others.items()]
    return sorted([*own, *added], key=lambda place: GROUPS.index(place.group))


def discover() -> list[PanelModule]:
    """All panels, in the page's order."""
    return [place.panel for place in places()]


def flaw(found: Any) -> str | None:
    """Why an object is no panel; None where it is one."""
    missing = [key for key in ("TITLE", "QUESTION", "build") if not hasattr(found, key)]
    if missing:
        return f"has no {', no '.join(missing)}"
    part = getattr(found, "GROUP", GROUPS[-1])
    return None if part in GROUPS else f"has the GROUP {part!r}; the page's parts are {', '.join(GROUPS)}"


class _PlugIn:
    """A panel of another package: where it fails the page says so, and has all others."""

    def __init__(self, name: str, panel: PanelModule) -> None:
        self.__name__, self.TITLE, self.QUESTION, self._panel = name, panel.TITLE, panel.QUESTION, panel

    def build(self, results: Results) -> Panel | NotApplicable:
        """What the panel answers, or why it does not."""
        try:
            answer = self._panel.build(results)
        except Exception as error:  # noqa: BLE001 - one package's fault must not cost the page
            return NotApplicable(f"The plug-in failed: {plugins.said(error)}.")
        if isinstance(answer, Panel | NotApplicable):
            return answer
        return NotApplicable(f"The plug-in gave {type(answer).__name__}, no Panel.")
