"""`--set key.path=value`, and the merging of a run's protocol keys over the study's."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from thriftune.errors import InputError, shortened
from thriftune.study.file.reader import shown
from thriftune.study.file.yaml_text import MOST_LEVELS, parse_yaml

_OUTSIDE = re.compile(r"(methods(?:\.\d+)?|runs\.\d+\.method)\.([A-Za-z_][\w.]*:\w+)(?:\.(.+))?")


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of the study's plain values with each `key.path=value` put in; values are YAML.

    Keys are not judged here: an unknown one becomes part of the values and is reported with all other
    problems. Raises `InputError` for text that is not `key=value` and for paths that lead nowhere.
    """
    data = copy.deepcopy(data)
    for text in overrides:
        path, equals, value = text.partition("=")
        path = path.strip()
        keys = _keys(path)
        if not equals or not all(keys):
            raise InputError(f"--set takes KEY.PATH=VALUE, for example protocol.epochs=1; {shown(text)} is given.")
        if len(keys) > MOST_LEVELS:
            raise InputError(
                f"--set {shortened(path)} names {len(keys):,} levels; a study file has at most {MOST_LEVELS}."
            )
        before = copy.deepcopy(data.get("protocol")) if keys[:1] == ["protocol"] else None
        _put(data, keys, parse_yaml(value, f"--set {shortened(path)}"), shortened(path))
        if isinstance(before, dict) and keys == ["protocol", "epochs"]:
            data["protocol"] = merged(before, {"epochs": data["protocol"]["epochs"]})
    return data


def _keys(path: str) -> list[str]:
    """The keys of a path; a method's name is one of them, also as `package.module:Class`."""
    found = _OUTSIDE.fullmatch(path)
    if found is None:
        return path.split(".")
    before, name, after = found.groups()
    return [*before.split("."), name, *(after.split(".") if after else ())]


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mapping by mapping; a mapping of another `type` replaces the whole.

    A number of `epochs` replaces the budget, which is about `epochs: auto`.
    """
    out = dict(base)
    if isinstance(over.get("epochs"), int):
        out.pop("budget", None)
    for key, value in over.items():
        old = base.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("type", old.get("type")) == old.get("type"):
            out[key] = merged(old, value)
        else:
            out[key] = value
    return out


def _put(container: Any, keys: list[str], value: Any, path: str) -> None:
    for position, key in enumerate(keys[:-1]):
        slot = _slot(container, key, path)
        inner = container[slot] if isinstance(slot, int) else container.get(slot)
        if inner is None or inner == keys[position + 1]:
            # A method given by name alone, `lora`, becomes {lora: {}} to take a setting.
            inner = {} if inner is None else {inner: {}}
            container[slot] = inner
        if not isinstance(inner, dict | list):
            taken = ".".join(keys[: position + 1])
            raise InputError(f"--set {path}: {taken} is the single value {shown(inner)}; set {taken} as a whole.")
        container = inner
    container[_slot(container, keys[-1], path)] = value


def _slot(container: Any, key: str, path: str) -> str | int:
    if isinstance(container, dict):
        return key
    places = [str(place) for place in range(len(container))]
    if key not in places:
        numbers = f"give a number from 0 to {len(places) - 1}, or set" if places else "set"
        raise InputError(
            f'--set {path}: "{shortened(key)}" is no place in a list of {len(places)}; {numbers} the list as a whole.'
        )
    return int(key)
