"""Calls a command as a user does."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from thriftune.cli import app


def run(*arguments: str) -> Any:
    """The result of `thriftune ARGUMENTS`."""
    return CliRunner().invoke(app, list(arguments))
