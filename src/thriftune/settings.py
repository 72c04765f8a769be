"""Settings are frozen dataclasses whose fields carry one line of help and their bounds.

They need nothing but the standard library, so the engine runs without the study file's machinery;
`study.config` validates the same classes from outside (types, unknown keys, key paths).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar

from thriftune.errors import InputError

LARGEST_SEED = 2**63 - 1
"""Every generator takes it."""


class SettingsError(InputError, ValueError):
    """Values that a settings class does not take; `problems` are (key, message) pairs."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key}: {message}" for key, message in problems))
        self.problems = problems


def setting(
    default: Any = MISSING,
    *,
    help: str,
    factory: Callable[[], Any] | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass field with its line of help; bounds are checked on every number (or list of them)."""
    metadata = {"help": help, "minimum": minimum, "above": above, "maximum": maximum, "below": below}
    if factory is not None:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Base of all settings: checks its bounds, and whatever `problems` adds, when made."""

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": False}

    def __post_init__(self) -> None:
        found = [problem for f in fields(self) for problem in _out_of_bounds(f, getattr(self, f.name))]
        found += self.problems()
        if found:
            raise SettingsError(found)

    def problems(self) -> list[tuple[str, str]]:
        """(key, message) pairs for values that do not go together; empty when all is well."""
        return []


def _out_of_bounds(f: Field[Any], value: Any) -> list[tuple[str, str]]:
    numbers = value if isinstance(value, list | tuple) else [value]
    meta = f.metadata
    tests: list[tuple[str, Callable[[float, float], bool], str]] = [
        ("minimum", lambda x, bound: x >= bound, "at least"),
        ("above", lambda x, bound: x > bound, "above"),
        ("maximum", lambda x, bound: x <= bound, "at most"),
        ("below", lambda x, bound: x < bound, "below"),
    ]
    found = []
    for number in numbers:
        if isinstance(number, bool) or not isinstance(number, int | float):
            continue
        for key, holds, words in tests:
            bound = meta.get(key)
            if bound is not None and not holds(number, bound):
                found.append((f.name, f"{number} is given, it must be {words} {bound}"))
    return found
