"""The contracts of methods, families and panels as checks for your own: see docs/extend.md.

`check_...` runs them all; `..._checks` gives them one by one, as pytest's parametrize takes them. pytest is not needed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thriftune.testing.check import Check
    from thriftune.testing.families import check_family, family_checks
    from thriftune.testing.methods import check_method, method_checks
    from thriftune.testing.models import save_model, tiny_model
    from thriftune.testing.panels import check_panel

__all__ = [
    "Check",
    "check_family",
    "check_method",
    "check_panel",
    "family_checks",
    "method_checks",
    "save_model",
    "tiny_model",
]

_HOMES = {
    "Check": "check",
    "check_family": "families",
    "check_method": "methods",
    "check_panel": "panels",
    "family_checks": "families",
    "method_checks": "methods",
    "save_model": "models",
    "tiny_model": "models",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
