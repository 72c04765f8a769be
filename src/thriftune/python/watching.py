"""Who sees a study run: a notebook's live table, a terminal's, or nobody but the caller's own listener."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from thriftune.progress import COLUMNS, LiveTable, cells, display, stage_line
from thriftune.study.events import Event, Listener, RunProgress, SearchProgress, Stage
from thriftune.terminal import PlainConsole

SECONDS_BETWEEN = 0.25
ROWS = 60


def in_notebook() -> bool:
    """Whether this process is a notebook's kernel."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return getattr(shell, "kernel", None) is not None


@contextmanager
def watched(listener: Listener | None, progress: bool | None) -> Iterator[Listener | None]:
    """The listener for a study's events: the caller's own, and a display where `progress` asks for one.

    None asks for one in a notebook and on a terminal, where there is no listener; `False` never does.
    """
    notebook = in_notebook()
    wanted = progress if progress is not None else listener is None and (notebook or sys.stderr.isatty())
    if not wanted:
        yield listener
        return
    if notebook:
        shown = NotebookTable()
        try:
            yield _both(shown, listener)
        finally:
            shown.update()
        return
    with display() as on_terminal:
        yield _both(on_terminal, listener)


def _both(first: Listener, second: Listener | None) -> Listener:
    if second is None:
        return first

    def tell(event: Event) -> None:
        first(event)
        second(event)

    return tell


class NotebookTable:
    """The live table below a notebook's cell, drawn anew a few times a second; its last state stays."""

    def __init__(self) -> None:
        self._said = StringIO()
        console = PlainConsole(
            file=self._said, force_jupyter=False, width=10_000, height=ROWS + 6, markup=False, highlight=False
        )
        self._table = LiveTable(console)
        self._ipython = importlib.import_module("IPython.display")
        self._place: Any = None
        self._last = 0.0

    def __call__(self, event: Event) -> None:
        """Takes the event in."""
        self._table(event)
        often = isinstance(event, RunProgress | SearchProgress | Stage)
        if not often or time.monotonic() - self._last >= SECONDS_BETWEEN:
            self.update()

    def update(self) -> None:
        """Draws the table as it stands."""
        self._last = time.monotonic()
        shown = self._ipython.HTML(self.html())
        if self._place is None:
            self._place = self._ipython.display(shown, display_id=True)
        else:
            self._place.update(shown)

    def html(self) -> str:
        """What was said, the runs, and what is being done."""
        from thriftune.report.inline import listed, table

        rows = [dict(zip(COLUMNS, cells(row), strict=True)) for row in self._table.rows]
        stage = self._table.stage
        return (
            listed([line.strip() for line in self._said.getvalue().splitlines() if line.strip()])
            + table(rows)
            + listed([] if stage is None else [stage_line(stage)])
        )
