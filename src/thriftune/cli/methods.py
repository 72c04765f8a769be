"""`thriftune methods`: what there is to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thriftune.cli.output import print_json

EXAMPLES = """\b
Examples:
  thriftune methods
  thriftune methods lora
  thriftune methods lora --json
"""


def methods(
    name: Annotated[
        str | None, typer.Argument(help="A method, or package.module:Class, to see alone.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the methods with their settings and defaults."""
    from thriftune.methods import discover, find
    from thriftune.study.file.reference import method_reference

    chosen = [find(name, Path.cwd())] if name else list(discover().values())
    entries = [method_reference(method) for method in chosen]
    if as_json:
        print_json(entries)
        return
    for entry in entries:
        typer.echo(f"\n{entry['name']}: {entry['summary']} ({entry['source']})")
        for key in entry["settings"]:
            typer.echo(f"  {key['key']:<14} {key['default']:<8}  {key['help']} ({key['type']})")
