"""Reads settings classes from plain values and collects every problem with its key path.

pydantic judges single values (strictly: no text or boolean passes for a number); this module walks the
classes, so that unknown keys, types and bounds of a whole file are reported together.
"""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import MISSING, Field, fields
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from thriftune.errors import did_you_mean, printable, shortened
from thriftune.settings import Settings, SettingsError
from thriftune.study.file.yaml_text import MOST_LEVELS

S = TypeVar("S", bound=Settings)
KeyPath = tuple[str | int, ...]
MOST_PROBLEMS = 30
"""That one message lists."""
LARGEST = 10**300
"""Beyond it a whole number fits into no float."""
BAD = object()
"""Stands for a value that could not be read (its problem is noted)."""

Special = Callable[[Any, KeyPath], Any]


class Reader:
    """Collects problems while settings are read."""

    def __init__(self, homes: dict[str, str] | None = None) -> None:
        self.problems: list[tuple[str, str]] = []
        self.homes = homes or {}
        """Where a key belongs, for those that people put in the wrong place: {"epochs": "protocol.epochs"}."""

    def note(self, path: KeyPath, message: str) -> None:
        """Adds a problem, once."""
        entry = (dotted(path), message)
        if entry not in self.problems:
            self.problems.append(entry)

    def settings(self, cls: type[S], data: Any, path: KeyPath, special: dict[str, Special] | None = None) -> S | Any:
        """An instance of the settings class, or `BAD`; `special` reads fields by functions of their own."""
        before = len(self.problems)
        values = self.values(cls, data, path, special)
        if values is None:
            return BAD
        made = self._make(cls, values, path)
        return made if len(self.problems) == before else BAD

    def values(
        self, cls: type[Settings], data: Any, path: KeyPath, special: dict[str, Special] | None = None
    ) -> dict[str, Any] | None:
        """The given values by key, `BAD` where one cannot be read or is missing; None without a mapping."""
        known = public_fields(cls)
        if not isinstance(data, dict):
            self.note(path, f"{shown(data)} is given; allowed: a mapping of {', '.join(known)}")
            return None
        for key in data:
            if key not in known:
                self._unknown(str(key), known, path)
        hints = type_hints(cls)
        values: dict[str, Any] = {}
        for key, f in known.items():
            read = (special or {}).get(key)
            if key in data:
                value = data[key]
                values[key] = read(value, (*path, key)) if read else self.value(hints[key], value, (*path, key))
            elif is_required(f):
                self.note((*path, key), f"is missing; {f.metadata['help']}")
                values[key] = BAD
        return values

    def value(self, hint: Any, value: Any, path: KeyPath) -> Any:
        """The value as the type hint wants it, or `BAD`; a single value stands for a list of one."""
        inner = settings_class(hint)
        if inner is not None and isinstance(value, dict):
            return self.settings(inner, value, path)
        if not self._sound(value, path):
            return BAD
        for given in [value] if isinstance(value, list | dict) else [value, [value]]:
            with suppress(ValidationError):
                return _checked(hint, given)
        close = did_you_mean(value, choices(hint)) if isinstance(value, str) else ""
        self.note(path, f"{shown(value)} is given; allowed: {describe(hint)}{close}")
        return BAD

    def _unknown(self, key: str, known: Iterable[str], path: KeyPath) -> None:
        home = self.homes.get(key)
        close = did_you_mean(key, known)
        if home and home != dotted((*path, key)) and not close:
            self.note((*path, key), f"unknown key; it belongs at {home}")
        else:
            self.note((*path, key), f"unknown key{close or ';'} known: {', '.join(known)}")

    def _make(self, cls: type[S], values: dict[str, Any], path: KeyPath) -> S | Any:
        """Makes the instance; stands in for bad values, so that the problems of the others are found too."""
        bad = {key for key, value in values.items() if value is BAD}
        try:
            return cls(**stand_in(cls, values))
        except SettingsError as error:
            for key, message in error.problems:
                if key.split(".")[0] not in bad:
                    self.note((*path, *key.split(".")), message)
            return BAD

    def _sound(self, value: Any, path: KeyPath) -> bool:
        """Whether it is made of what a study file can hold: mappings, lists, text, finite numbers and the like."""
        problem = _unsound(value)
        if problem is not None:
            self.note(path, problem)
            return False
        inner: Iterable[tuple[str | int, Any]] = ()
        if isinstance(value, dict):
            inner = value.items()
        elif isinstance(value, list | tuple):
            inner = enumerate(value)
        sound = [self._sound(item, (*path, key)) for key, item in inner]  # each notes its own problem
        return all(sound)


def type_hints(cls: type[Any]) -> dict[str, Any]:
    """The resolved annotations of a settings class; not to be changed."""
    if cls not in _hints:
        _hints[cls] = get_type_hints(cls)
    return _hints[cls]


_hints: dict[type[Any], dict[str, Any]] = {}


def public_fields(cls: type[Settings]) -> dict[str, Field[Any]]:
    """The fields that are keys of the study file."""
    return {f.name: f for f in fields(cls) if f.metadata}


def is_required(f: Field[Any]) -> bool:
    """Whether the key has no default."""
    return f.default is MISSING and f.default_factory is MISSING


def default_of(f: Field[Any]) -> Any:
    """The field's default value; call it on fields that have one."""
    return f.default_factory() if f.default_factory is not MISSING else f.default


def settings_class(hint: Any) -> type[Settings] | None:
    """The settings class that a hint names, alone or in a union."""
    members = get_args(hint) if is_union(hint) else (hint,)
    found = [m for m in members if isinstance(m, type) and issubclass(m, Settings)]
    return found[0] if found else None


def is_union(hint: Any) -> bool:
    """Whether the hint is `A | B`."""
    return get_origin(hint) in (Union, types.UnionType)


def choices(hint: Any) -> list[str]:
    """The words that a hint allows by name."""
    if get_origin(hint) is Literal:
        return [str(a) for a in get_args(hint)]
    return [word for member in get_args(hint) for word in choices(member)]


def describe(hint: Any) -> str:
    """A type hint in words, for messages and documentation."""
    origin, args = get_origin(hint), get_args(hint)
    if is_union(hint):
        return " or ".join(describe(member) for member in sorted(args, key=lambda m: m is type(None)))
    if origin is Literal:
        words = [str(a) for a in args]
        return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"
    if origin in (tuple, list):
        return f"a list of {_plural(args[0])}"
    if origin is dict:
        return f"a mapping of names to {_plural(args[1])}"
    if isinstance(hint, type) and issubclass(hint, Settings):
        return f"a mapping of {', '.join(public_fields(hint))}"
    return _NAMES.get(hint, str(hint))


_NAMES: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
    Any: "any value",
}
_PLURALS: dict[Any, str] = {str: "texts", int: "whole numbers", float: "numbers", Any: "values"}


def _plural(hint: Any) -> str:
    if hint in _PLURALS:
        return _PLURALS[hint]
    return f"mappings ({describe(hint)})" if get_origin(hint) is dict else describe(hint)


def dotted(path: KeyPath) -> str:
    """A key path as people write it: methods.0.lora.rank."""
    return ".".join(str(part) for part in path)


def shown(value: Any) -> str:
    """A value as it would stand in a study file, shortened, and safe to print."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, TypeError, RecursionError):  # too many digits, keys that are not text, endless
        text = f"a {type(value).__name__} that no study file can hold"
    return printable(text if len(text) <= 60 else f"{text[:57]}...")


def too_deep(value: Any) -> bool:
    """Whether lists and mappings lie within each other deeper than a study file may (or endlessly)."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [item for each in level for item in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [item for item in items if isinstance(item, dict | list | tuple)]


def _unsound(value: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{value} is given, it must be a finite number"
    if isinstance(value, int) and abs(value) > LARGEST:
        return "a number of more than 300 digits is given, which is larger than any that can be computed with"
    if isinstance(value, dict) and not all(isinstance(key, str) for key in value):
        return f"{shown(value)} is given; keys must be text"
    if value is None or isinstance(value, dict | list | tuple | str | bool | int | float):
        return None
    return f"{shown(value)} is given; allowed: text, numbers, true, false, null, lists and mappings"


def problems_text(title: str, problems: list[tuple[str, str]]) -> str:
    """One message that lists all problems."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    listed = [(shortened(printable(key)), message) for key, message in problems[:MOST_PROBLEMS]]
    lines = [f"  {key}: {message}" if key else f"  {message}" for key, message in listed]
    more = len(problems) - MOST_PROBLEMS
    return "\n".join([f"{title} has {count}:", *lines, *([f"  ... and {more:,} more"] if more > 0 else [])])


@cache
def _adapter(hint: Any) -> TypeAdapter[Any]:
    return TypeAdapter(hint)


def _checked(hint: Any, value: Any) -> Any:
    """JSON mode, since it is strict about scalars and still takes a list for a tuple."""
    return _adapter(hint).validate_json(json.dumps(value), strict=True)


def stand_in(cls: type[Settings], values: dict[str, Any]) -> dict[str, Any]:
    """The values without the bad ones; a required key gets some value of its type."""
    good = {key: value for key, value in values.items() if value is not BAD}
    known, hints = public_fields(cls), type_hints(cls)
    gaps = [key for key in values if key not in good and is_required(known[key])]
    return good | {key: _some(hints[key]) for key in gaps}


def _some(hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return (_some(get_args(hint)[0]),)
    if is_union(hint):
        return _some(get_args(hint)[0])
    return {str: "?", int: 1, float: 1.0}.get(hint)
