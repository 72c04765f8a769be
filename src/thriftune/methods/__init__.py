"""Fine-tuning methods, one file each, found by name."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from types import ModuleType

from thriftune.errors import unknown_name
from thriftune.methods.base import Method


@cache
def discover() -> dict[str, type[Method]]:
    """All methods by name, in alphabetical order: every module here that defines a `METHOD`."""
    found: dict[str, type[Method]] = {}
    for info in pkgutil.iter_modules(__path__):
        module: ModuleType = importlib.import_module(f"{__name__}.{info.name}")
        method = getattr(module, "METHOD", None)
        if method is not None:
            found[info.name] = method
    return found


def find(name: str) -> type[Method]:
    """The method of that name; raises `InputError` with the list of names where there is none."""
    methods = discover()
    if name not in methods:
        raise unknown_name("method", name, methods)
    return methods[name]
