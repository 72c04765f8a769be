"""Architectures, one file each, found by the `model_type` of a model's configuration."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from thriftune.models.families.base import Family


@cache
def discover() -> dict[str, Family]:
    """All known families by model type: every module here that defines a `FAMILY`."""
    found: dict[str, Family] = {}
    for info in pkgutil.iter_modules(__path__):
        family = getattr(importlib.import_module(f"{__name__}.{info.name}"), "FAMILY", None)
        if family is not None:
            found.update(dict.fromkeys(family.model_types, family))
    return found


def family_of(model_type: str) -> Family | None:
    """The family of a model type, or None: the model then trains through its own forward alone."""
    return discover().get(model_type)
