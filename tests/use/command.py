"""The commands of this package as a program: `python -m tests.use.command predict ...`."""

from __future__ import annotations

import typer

from thriftune.cli import _Group
from thriftune.use.commands import register

app = typer.Typer(cls=_Group, pretty_exceptions_enable=False, rich_markup_mode=None)
register(app)

if __name__ == "__main__":
    app()
