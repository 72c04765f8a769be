"""`thriftune doctor`: what this machine and installation have, and what would go wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thriftune.cli.output import print_json

if TYPE_CHECKING:
    from thriftune.doctor.finding import Finding

EXAMPLES = [
    "thriftune doctor",
    "thriftune doctor --online",
    "thriftune doctor --json",
]


def doctor(
    online: Annotated[bool, typer.Option("--online", help="Ask the Hugging Face hub as well.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what this machine and installation have, what would go wrong and what to do about it.

    Exit code 1 where something will fail. Nothing is downloaded, compiled or kept; without --online the network is
    not used.
    """
    from dataclasses import asdict

    from thriftune.doctor.examine import examine

    found = examine(online)
    failing = [each for each in found if each.state == "fails"]
    if as_json:
        print_json({"fine": not failing, "findings": [asdict(each) for each in found]})
    else:
        _print_findings(found)
    if failing:
        raise typer.Exit(1)


MARKS = {"ok": "ok", "note": "note", "fails": "FAILS"}


def _print_findings(found: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from thriftune.errors import printable
    from thriftune.terminal import UNLIMITED, print_text, standard_output
    from thriftune.wording import plural

    table = Table.grid(padding=(0, 2))
    for wraps in (False, False, True):
        table.add_column(no_wrap=not wraps, overflow="fold")
    for each in found:
        table.add_row(MARKS[each.state], each.subject, Text(printable(each.found)))
        if each.remedy:
            table.add_row("", "", Text(printable(f"→ {each.remedy}")))
    console = standard_output()
    if not console.is_terminal:
        console.width = UNLIMITED
    with console.capture() as lines:
        console.print(table)
    typer.echo("\n".join(line.rstrip() for line in lines.get().splitlines()))
    count = {state: sum(each.state == state for each in found) for state in MARKS}
    if count["fails"]:
        print_text(f"\n{plural(count['fails'], 'thing')} will fail, see above.")
    elif count["note"]:
        print_text(f"\nEverything works; {plural(count['note'], 'note')} above.")
    else:
        print_text("\nEverything works.")
