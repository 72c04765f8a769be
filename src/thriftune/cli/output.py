"""What several commands print."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import typer

from thriftune.errors import printable


def print_json(document: Any) -> None:
    """Prints one JSON document on standard output."""
    typer.echo(json.dumps(document, indent=1, ensure_ascii=False))


def working(text: str) -> None:
    """Says on standard error what is being done."""
    typer.echo(f"{text} ...", err=True)


def say_interrupted(text: str) -> None:
    """Says on standard error that the command ends early."""
    with suppress(OSError):  # a terminal that was closed
        typer.echo(f"\n{text}", err=True)


def print_training(sentences: list[str], command: str | None) -> None:
    """Which runs were still improving, and the command that would tell on a line of its own, to be copied."""
    from thriftune.terminal import print_text

    for number, sentence in enumerate(sentences):
        print_text(sentence if number else f"\n{sentence}")
    if command is not None:
        typer.echo(f"  {printable(command)}")
