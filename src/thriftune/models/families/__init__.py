"""Architectures, one file each, found by the `model_type` of a model's configuration."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any

from thriftune import plugins
from thriftune.models.families.base import Family

GROUP = "thriftune.families"
"""The entry points by which other packages add families; each is named as one of its model types."""


@cache
def built_in() -> dict[str, Family]:
    """The families of this package by model type: every module here that defines a `FAMILY`."""
    found: dict[str, Family] = {}
    for info in pkgutil.iter_modules(__path__):
        family = getattr(importlib.import_module(f"{__name__}.{info.name}"), "FAMILY", None)
        if family is not None:
            found.update(dict.fromkeys(family.model_types, family))
    return found


@cache
def discover() -> dict[str, Family]:
    """All known families by model type; those of other packages (entry points) replace none of this one's."""
    others = plugins.load(GROUP, built_in(), flaw).values()
    return {name: family for family in others for name in family.model_types} | built_in()


def flaw(found: Any) -> str | None:
    """Why an object is no family; None where it is one."""
    if not isinstance(found, Family):
        return "is no instance of thriftune.models.families.base.Family"
    taken = [name for name in found.model_types if name in built_in()]
    return f"serves model types that are built in ({', '.join(taken)})" if taken else None


def family_of(model_type: str) -> Family | None:
    """The family of a model type, or None: the model then trains through its own forward alone."""
    return discover().get(model_type)
