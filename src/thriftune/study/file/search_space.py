"""Which runs have the keys that a search varies, and a run with other values in their place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from thriftune.engine.protocol import Protocol
from thriftune.errors import did_you_mean
from thriftune.methods.base import Method, TransformerMethod
from thriftune.settings import Settings, SettingsError
from thriftune.study.file.reader import BAD, Reader, is_union, public_fields, settings_class, type_hints
from thriftune.study.file.search_settings import Dimension, Range, SearchSettings

if TYPE_CHECKING:
    from thriftune.study.file.plan import PlannedRun

S = TypeVar("S", bound=Settings)

FIXED_METHOD_KEYS = ("text", "type", "config")
FIXED_PROTOCOL_KEYS = {
    "max_tokens": "texts are cut once, for all trials",
    "keep": "trials are compared by it",
    "select": "trials are compared by it",
    **dict.fromkeys(
        ("device", "padding", "precision", "recompute", "gpu_prefix_gb"),
        "it is about what training costs, not what is learnt",
    ),
}


def is_searched(method: Method) -> bool:
    """Whether a search varies a method's settings at all; baselines choose theirs on validation themselves."""
    return isinstance(method, TransformerMethod) and not getattr(method, "BASELINE", False)


def space_of(method: Method, search: SearchSettings | None) -> dict[str, Dimension]:
    """What is searched for a method, by its own key or the protocol's; empty where it has none of the keys.

    Keys that every method has come first, so that equal draws give them equal values in all methods.
    """
    if search is None or not is_searched(method):
        return {}
    named: dict[str, Dimension] = {}
    for key, dimension in search.dimensions.items():
        if is_protocol_key(key) or key in own_keys(method):
            named.setdefault(key, dimension)
    for key, dimension in search.dimensions.items():
        if (own := of_one_method(key, method)) is not None:
            named[own] = dimension
    shared = {f.name for f in fields(TransformerMethod)}
    first = [key for key in named if is_protocol_key(key) or key in shared]
    return {key: named[key] for key in (*first, *(key for key in named if key not in first))}


def own_keys(method: Method) -> list[str]:
    """A method's keys that can be searched."""
    known = [key for key in public_fields(type(method)) if key not in FIXED_METHOD_KEYS]
    return [*known, *getattr(method, "config", {})]


def of_one_method(key: str, method: Method) -> str | None:
    """The method's own key that `METHOD.KEY` names, where it is this method's."""
    name, own = _parted(key)
    if name != method.NAME or not own or own in FIXED_METHOD_KEYS:
        return None
    return own if own in own_keys(method) or hasattr(method, "config") else None


def _parted(key: str) -> tuple[str, str]:
    """The method and the key of `METHOD.KEY`; a method's name has dots where it is `package.module:Class`."""
    module, colon, rest = key.rpartition(":")
    name, _, own = rest.partition(".")
    return module + colon + name, own


def is_protocol_key(key: str) -> bool:
    """Whether a dotted key leads to a single value of the protocol that can be searched."""
    return key not in FIXED_PROTOCOL_KEYS and key in protocol_keys()


def protocol_keys(cls: type[Settings] = Protocol, before: str = "") -> list[str]:
    """The dotted keys of the protocol's single values."""
    found: list[str] = []
    for key in public_fields(cls):
        inner = settings_class(type_hints(cls)[key])
        found += [f"{before}{key}"] if inner is None else protocol_keys(inner, f"{before}{key}.")
    return found


def with_values(method: Method, protocol: Protocol, params: dict[str, Any]) -> tuple[Method, Protocol]:
    """A method and protocol with other values of some keys; raises `SettingsError` for values they do not take."""
    own = {key: value for key, value in params.items() if not is_protocol_key(key)}
    tree: dict[str, Any] = {}
    for key, value in params.items():
        if key not in own:
            *path, last = key.split(".")
            inner = tree
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = value
    return _method(method, own), _changed(protocol, tree)


def searched_run(run: PlannedRun, params: dict[str, Any]) -> PlannedRun:
    """A planned run with the values that a search chose; raises `SettingsError` for values that it does not take."""
    method, protocol = with_values(run.method, run.protocol, params)
    return replace(run, method=method, protocol=protocol)


def extremes(space: dict[str, Dimension]) -> Iterable[dict[str, Any]]:
    """Each end of each range and each value of each choice, alone."""
    return ({key: value} for key, dimension in space.items() for value in dimension.ends)


def hint_of(key: str, method: Method) -> Any:
    """The type of a key of the protocol or the method; `Any` for keys of a PEFT type."""
    if is_protocol_key(key):
        cls: type[Settings] = Protocol
        *path, last = key.split(".")
        for part in path:
            inner = settings_class(type_hints(cls)[part])
            assert inner is not None
            cls = inner
        return type_hints(cls)[last]
    return type_hints(type(method)).get(key, Any)


def is_whole(key: str, method: Method, dimension: Range) -> bool:
    """Whether a range is one of whole numbers."""
    hint = hint_of(key, method)
    if hint is Any:
        return isinstance(dimension.low, int) and isinstance(dimension.high, int)
    return float not in members(hint)


def members(hint: Any) -> tuple[Any, ...]:
    """The members of a union, or the hint alone."""
    return get_args(hint) if is_union(hint) else (hint,)


def why_unknown(key: str, methods: Iterable[Method], known: dict[str, type[Method]]) -> str | None:
    """What is wrong with a key that no searched method and no protocol has; None where one has it."""
    methods = [method for method in methods if is_searched(method)]
    if is_protocol_key(key) or any(key in own_keys(m) or of_one_method(key, m) is not None for m in methods):
        return None
    return _why_fixed(key) or _why_not_of(key, methods, known) or _why_none_has(key, methods, known)


def _why_fixed(key: str) -> str | None:
    if key in FIXED_PROTOCOL_KEYS:
        return f"cannot be searched: {FIXED_PROTOCOL_KEYS[key]}"
    if inside := [each for each in protocol_keys() if each.startswith(f"{key}.")]:
        return f"is a mapping; name one of its keys: {', '.join(inside)}"
    if key.rpartition(".")[2] in FIXED_METHOD_KEYS:
        return "cannot be searched: it says which method it is, not how it learns"
    return None


def _why_not_of(key: str, methods: list[Method], known: dict[str, type[Method]]) -> str | None:
    """What is wrong with `METHOD.KEY`."""
    name, own = _parted(key)
    if name not in known or not own:
        return None
    if all(name != method.NAME for method in methods):
        return f"has no effect; the study has no method {name} whose settings can be searched"
    names = [each for each in public_fields(known[name]) if each not in FIXED_METHOD_KEYS]
    return f"{name} has no key {own}{did_you_mean(own, names) or ';'} known: {', '.join(names)}"


def _why_none_has(key: str, methods: list[Method], known: dict[str, type[Method]]) -> str:
    owners = [each for each, cls in known.items() if key in public_fields(cls)]
    if owners:
        return f"has no effect; no method of the study that can be searched has it ({', '.join(owners)} would)"
    names = list(dict.fromkeys(own for method in methods for own in own_keys(method)))
    names += [each for each in protocol_keys() if each not in FIXED_PROTOCOL_KEYS]
    return f"unknown key{did_you_mean(key, names) or ';'} known: {', '.join(names)}"


def _method(method: Method, values: dict[str, Any]) -> Method:
    names = public_fields(type(method))
    own = {key: value for key, value in values.items() if key in names}
    other = {key: value for key, value in values.items() if key not in names}
    if other:
        return replace(_changed(method, own), config={**getattr(method, "config", {}), **other})  # type: ignore[call-arg]
    return _changed(method, own)


def _changed(settings: S, tree: dict[str, Any]) -> S:
    """Settings with some values replaced, in all depths at once: they are judged together."""
    hints = type_hints(type(settings))
    values: dict[str, Any] = {}
    for key, value in tree.items():
        now = getattr(settings, key)
        if isinstance(value, dict) and settings_class(hints[key]) is not None:
            if now is None:
                raise SettingsError([(key, f"is null; give {key}, then its keys can be searched")])
            values[key] = _changed(now, value)
        else:
            values[key] = _read(hints[key], value, key)
    return replace(settings, **values) if values else settings


def _read(hint: Any, value: Any, key: str) -> Any:
    reader = Reader()
    found = reader.value(hint, _listed(value), (key,))
    if found is BAD:
        raise SettingsError(reader.problems)
    return found


def _listed(value: Any) -> Any:
    return [_listed(item) for item in value] if isinstance(value, tuple) else value
