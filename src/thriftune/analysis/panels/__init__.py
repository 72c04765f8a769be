"""The panels of the report, one file each: the folder is the part of the page, its list the order."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Protocol, cast

from thriftune.analysis.display.panel import NotApplicable, Panel
from thriftune.results.store import Results

GROUPS = ("answers", "performance", "cost", "errors", "data", "setup")
"""In the page's order."""


class PanelModule(Protocol):
    """The members of a panel's file; its docstring says what it answers, its name is its key in `results.json`."""

    __name__: str
    TITLE: str
    QUESTION: str

    def build(self, results: Results) -> Panel | NotApplicable:
        """Answers the question."""
        ...


def group(name: str) -> ModuleType:
    """A part of the page: its TITLE, and its PANELS by name."""
    return importlib.import_module(f"{__name__}.{name}")


def discover() -> list[PanelModule]:
    """All panels, in the page's order."""
    return [
        cast(PanelModule, importlib.import_module(f"{__name__}.{part}.{name}"))
        for part in GROUPS
        for name in group(part).PANELS
    ]
