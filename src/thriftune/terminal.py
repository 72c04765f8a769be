"""Prints results on standard output: tables and paragraphs that fit a terminal, and whole ones where they are piped."""

from __future__ import annotations

import os

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from thriftune import errors
from thriftune import wording as f

DROPPED = ("Samples/s", "F1 %", "Stored", "Trained", "95%", "Memory", "Time")
"""Columns of the final table that a narrow terminal does without, the first of them first; "Time (min)" is "Time"."""
NAME_WIDTH = 16
"""Of the longest run's name, what must fit on one line."""
UNLIMITED = 10_000


def print_table(rows: list[dict[str, str]], console: Console | None = None) -> None:
    """Prints rows under their column names on standard output; numbers to the right.

    On a terminal (or where COLUMNS gives a width) columns that do not fit are left out, and named below the
    table; a long name goes on in the next line. Piped, nothing is left out or wrapped.
    """
    console = console or standard_output()
    limit = _width(console)
    shown, left_out = fitting(rows, limit)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, name in enumerate(shown):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=index > 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(errors.printable(row[name])) for name in shown))
    console.width = limit
    console.print(table)
    if left_out:
        print_text(f"For want of room: without {f.listing(left_out)}.", console)


def fitting(rows: list[dict[str, str]], width: int) -> tuple[list[str], list[str]]:
    """The columns that fit into a width, and those that do not; the first column, a name, may be wrapped."""
    shown = list(rows[0]) if rows else []
    left_out: list[str] = []
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in shown}
    if shown:
        widths[shown[0]] = min(widths[shown[0]], NAME_WIDTH)
    for plain in DROPPED:
        name = next((each for each in shown if each.split(" (")[0] == plain), None)
        if name is not None and sum(widths[each] + 2 for each in shown) > width:
            shown.remove(name)
            left_out.insert(0, plain)
    return shown, left_out


def print_text(text: str, console: Console | None = None) -> None:
    """Prints a paragraph: wrapped between words on a terminal, one line where it is piped."""
    console = console or standard_output()
    console.width = _width(console)
    console.print(Text(errors.printable(text)))


def standard_output() -> Console:
    """The console for results."""
    return PlainConsole(markup=False, highlight=False, emoji=False)


class PlainConsole(Console):
    """A console that leaves it to the caller what a reader's end means."""

    def on_broken_pipe(self) -> None:
        """Lets the error through, which rich would turn into the end of the program."""
        raise  # noqa: PLE0704 - called while the error is handled


def _width(console: Console) -> int:
    return console.width if console.is_terminal or os.environ.get("COLUMNS", "").isdigit() else UNLIMITED
