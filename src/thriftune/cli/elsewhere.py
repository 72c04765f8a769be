"""Folders elsewhere that a command changes: a copy here that is pushed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from thriftune.cli.output import working
from thriftune.errors import readable


@contextmanager
def changed(folder: Path) -> Iterator[Path]:
    """A results folder that a command reads and changes, as a path here; one elsewhere is locked, and pushed.

    A path in the copy of one elsewhere stands for that. Raises `InputError` where it cannot be read or locked, and
    `typer.Exit` (1) where it is not pushed, which is said.
    """
    from thriftune.remote.copy import holding
    from thriftune.remote.output import output
    from thriftune.remote.reading import light

    found = holding(folder)
    with output(folder if found is None else found[0], lambda text: working(text.removesuffix(" ...")), light) as place:
        yield place.path
        pushed = place.push()
    if pushed is not None:
        typer.echo(readable(pushed), err=True)
    if place.error is not None:
        raise typer.Exit(1)
