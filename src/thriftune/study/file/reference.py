"""What every key of a study file takes: for `thriftune methods` and the generated documentation."""

from __future__ import annotations

import json
from dataclasses import Field
from typing import Any

from thriftune.methods.base import Method
from thriftune.settings import Settings
from thriftune.study.file.reader import default_of, describe, is_required, public_fields, settings_class, type_hints
from thriftune.study.file.settings import RunSettings

BOUNDS = (("minimum", "at least"), ("above", "above"), ("maximum", "at most"), ("below", "below"))


def method_reference(method: type[Method]) -> dict[str, Any]:
    """A method's name, summary, source, and settings as `key_reference` gives them."""
    return {
        "name": method.NAME,
        "summary": method.SUMMARY,
        "source": method.SOURCE,
        "needs_model": method.NEEDS_MODEL,
        "baseline": method.BASELINE,
        "settings": key_reference(method),
    }


def key_reference(cls: type[Settings]) -> list[dict[str, str]]:
    """Each key with its type in words, its default as it would stand in the file, and its help."""
    hints = type_hints(cls)
    return [
        {"key": key, "type": type_words(hints[key], f), "default": default_words(f), "help": f.metadata["help"]}
        for key, f in public_fields(cls).items()
    ]


def type_words(hint: Any, f: Field[Any]) -> str:
    """The type and bounds of a key, for example "a number, at least 0"."""
    if hint in (tuple[Method, ...], Method):
        words = "a list of methods" if hint != Method else "a method"
    elif hint == tuple[RunSettings, ...]:
        words = "a list of runs"
    else:
        words = describe(hint)
        inner = settings_class(hint)
        if inner is not None:
            words = words.replace(describe(inner), "a mapping (below)")
    bounds = [f"{text} {f.metadata[key]}" for key, text in BOUNDS if f.metadata[key] is not None]
    return ", ".join([words, *bounds])


def default_words(f: Field[Any]) -> str:
    """The default as YAML (flow style); "required" where there is none."""
    if is_required(f):
        return "required"
    value = default_of(f)
    if isinstance(value, Settings):
        return "the defaults below"
    if isinstance(value, str):
        return value
    if isinstance(value, tuple):
        value = list(value)
    return json.dumps(value)


def sections(cls: type[Settings], path: str = "") -> list[tuple[str, type[Settings]]]:
    """The settings classes of a study file with their key paths, in reading order."""
    found = [(path, cls)] if path else []
    for key in public_fields(cls):
        inner = settings_class(type_hints(cls)[key])
        if inner is not None and not issubclass(inner, Method) and cls is not RunSettings:
            found += sections(inner, f"{path}.{key}" if path else key)
    return found
