"""Formats of other libraries, one file each, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from thriftune.errors import InputError, unknown_name
from thriftune.export.formats.base import Format
from thriftune.export.trained import Trained


@cache
def discover() -> dict[str, Format]:
    """All formats by name, in alphabetical order: every module here that defines a `FORMAT`."""
    found: dict[str, Format] = {}
    for info in pkgutil.iter_modules(__path__):
        made = getattr(importlib.import_module(f"{__name__}.{info.name}"), "FORMAT", None)
        if made is not None:
            found[made.NAME] = made
    return found


def find(name: str) -> Format:
    """The format of that name; raises `InputError` with the list of names."""
    formats = discover()
    if name not in formats:
        raise unknown_name("format", name, formats)
    return formats[name]


def check(form: Format, found: Trained) -> None:
    """Raises `InputError` where a classifier cannot have a form, naming those that it can have."""
    why = form.refusal(found)
    if why is not None:
        able = [each.NAME for each in discover().values() if each.refusal(found) is None]
        raise InputError(
            f"{found.source.name} ({found.method}) cannot be exported as {form.NAME}: {why}. "
            f"Formats that it can have: {', '.join(able) or 'none'}."
        )
    if (command := form.missing()) is not None:
        raise InputError(f"--format {form.NAME} needs {', '.join(form.PACKAGES)}, which are not installed: {command}")
