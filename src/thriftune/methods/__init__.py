"""Fine-tuning methods, one file each, found by name; others come from outside this package."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from pathlib import Path
from types import ModuleType

from thriftune import plugins
from thriftune.errors import unknown_name
from thriftune.methods.base import GROUP, RESERVED, Method, flaw


@cache
def built_in() -> dict[str, type[Method]]:
    """The methods of this package by name, in alphabetical order: every module here that defines a `METHOD`."""
    found: dict[str, type[Method]] = {}
    for info in pkgutil.iter_modules(__path__):
        module: ModuleType = importlib.import_module(f"{__name__}.{info.name}")
        method = getattr(module, "METHOD", None)
        if method is not None:
            found[info.name] = method
    return found


@cache
def discover() -> dict[str, type[Method]]:
    """All methods by name: those of this package, then those of installed packages (entry points)."""
    return {**built_in(), **plugins.load(GROUP, RESERVED, flaw)}


def find(name: str, folder: Path | None = None) -> type[Method]:
    """The method of that name, or the class that `package.module:Class` names, looked for in `folder` too.

    Raises `InputError` with the list of names, or with what was tried, where there is none.
    """
    methods = discover()
    if ":" in name:
        return plugins.named(name, folder, flaw)  # type: ignore[no-any-return]
    if name not in methods:
        raise unknown_name("method", name, methods)
    return methods[name]
