"""The study file: read strictly, every problem reported at once, written back resolved."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from thriftune.data.readers.plug_ins import scheme_of
from thriftune.errors import InputError, did_you_mean
from thriftune.methods import discover, find
from thriftune.methods.base import Method
from thriftune.paths import check_file, missing, named, names_in, status, user_path
from thriftune.settings import Settings, SettingsError
from thriftune.study.file.checks import CHECKS
from thriftune.study.file.override import apply_overrides, merged
from thriftune.study.file.reader import (
    BAD,
    KeyPath,
    Reader,
    dotted,
    problems_text,
    public_fields,
    settings_class,
    shown,
    stand_in,
    too_deep,
    type_hints,
)
from thriftune.study.file.settings import DECIDING, RunSettings, StudyProtocol, StudySettings, selected_with
from thriftune.study.file.yaml_text import MOST_CHARACTERS, MOST_LEVELS, dump_yaml, parse_yaml

MOST_BYTES = 4 * MOST_CHARACTERS
OMITTED_WHEN_EMPTY = ("models", "methods", "search", "robustness", "runs", "published")


@dataclass(frozen=True, kw_only=True)
class Study(StudySettings):
    """A checked study; made by `load_study`, or directly (then `SettingsError` lists what is wrong)."""

    folder: Path = field(default_factory=Path.cwd, compare=False)
    """Where the study file lies: relative paths in it start here."""

    def problems(self) -> list[tuple[str, str]]:
        """Everything that does not go together, or has no effect."""
        return super().problems() or [problem for check in CHECKS for problem in check.find(self)]


def shipped_folder() -> Path:
    """The folder of the study files that come with Thriftune: in the repository, or in the installed package."""
    installed = Path(__file__).parents[1] / "shipped"
    return installed if installed.is_dir() else Path(__file__).parents[4] / "studies"


def load_study(path: Path | None, overrides: Sequence[str] = ()) -> Study:
    """Reads and checks a study file; None is the demo. Overrides are `key.path=value`, values in YAML.

    Raises `InputError` that lists every problem with its key path, what was given and what is allowed.
    """
    path = path if path is not None else shipped_folder() / "demo.yaml"
    title = str(path)
    data = parse_yaml(_read_text(path), title)
    if not isinstance(data, dict):
        what = "is empty" if data is None else f"holds {shown(data)}"
        raise InputError(f"{title} {what}; a study file is a mapping of {', '.join(public_fields(StudySettings))}.")
    return study_from_dict(apply_overrides(data, overrides), path.resolve().parent, title)


def study_from_dict(data: dict[str, Any], folder: Path, title: str = "the study") -> Study:
    """Checks a study given as plain values, as a YAML file holds them. Raises `InputError` as `load_study`."""
    reader = Reader(_homes())
    if not isinstance(data, dict):
        raise InputError(
            f"{title} holds {shown(data)}; a study is a mapping of {', '.join(public_fields(StudySettings))}."
        )
    if too_deep(data):
        raise InputError(f"{title} is nested more than {MOST_LEVELS} levels deep.")
    data = _with_select(data)
    special = {
        "methods": lambda value, path: _list(reader, value, path, partial(_method, folder=folder)),
        "runs": lambda value, path: _list(reader, value, path, partial(_run, base=data.get("protocol"), folder=folder)),
    }
    values = reader.values(StudySettings, data, (), special) or {}
    _check_together(reader, values)
    if reader.problems:
        raise InputError(problems_text(title, reader.problems))
    return Study(**values, folder=folder)


def _with_select(data: dict[str, Any]) -> dict[str, Any]:
    """The study with `protocol.select` as `decide_by` asks for, unless it is given."""
    decide_by, protocol = data.get("decide_by"), data.get("protocol", {})
    if decide_by not in DECIDING[1:] or not isinstance(protocol, dict):
        return data
    return data | {"protocol": {"select": selected_with(decide_by), **protocol}}


def _check_together(reader: Reader, values: dict[str, Any]) -> None:
    """Notes bounds, and what does not go together among the values that are sound."""
    draft = None
    while draft is None:  # each turn takes out what the last one found
        try:
            draft = StudySettings(**stand_in(StudySettings, values))
        except SettingsError as error:
            for key, message in error.problems:
                reader.note((key,), message)
                values[key] = BAD
    bad = {key for key, value in values.items() if value is BAD}
    for check in CHECKS:
        if not bad & set(check.reads):
            for key, message in check.find(draft):
                reader.note((key,), message)


def study_to_dict(study: Study) -> dict[str, Any]:
    """The resolved study as plain values: every key with the value in force."""
    out = _plain(study)
    return {key: value for key, value in out.items() if value or key not in OMITTED_WHEN_EMPTY}


def study_to_yaml(study: Study, at: Path | None = None) -> str:
    """The resolved study as YAML, which `load_study` takes as an equal study.

    With `at`, relative paths of data and models are rewritten so that the text works in that folder.
    """
    data = study_to_dict(study)
    if at is not None:
        old, new = study.folder, at.resolve()
        source = data["data"]["source"]
        several = isinstance(source, dict)
        data["data"]["source"] = _all_moved(source, old, new) if several else _moved(source, old, new)
        if "robustness" in data:
            data["robustness"] = _all_moved(data["robustness"], old, new)
        if "models" in data:
            data["models"] = [_moved_model(name, old, new) for name in data["models"]]
        for run in data.get("runs", []):
            run["model"] = _moved_model(run["model"], old, new) if run["model"] else None
    return dump_yaml(data)


def _moved(source: str, old: Path, new: Path) -> str:
    """A data source relative to another folder; those with a scheme and absolute paths stay as they are."""
    if scheme_of(source) or source.startswith("~") or Path(source).is_absolute():
        return source
    if named(new) != str(new):  # a copy of a folder elsewhere, which is another one on another machine
        whole = (old / source).resolve()
        return os.path.relpath(whole, new) if whole.is_relative_to(new) else str(whole)
    return os.path.relpath(old / source, new)


def _all_moved(sources: dict[str, str], old: Path, new: Path) -> dict[str, str]:
    return {name: _moved(source, old, new) for name, source in sources.items()}


def _moved_model(model: str, old: Path, new: Path) -> str:
    """A model; only existing folders are paths, everything else is a name."""
    is_path = not model.startswith("demo:") and (old / model).is_dir()
    return _moved(model, old, new) if is_path else model


def _read_text(path: Path) -> str:
    path = user_path(str(path))
    found = status(path)
    if found is None:
        known = names_in(path.parent) or names_in(Path())
        near = did_you_mean(path.name, [name for name in known if name.endswith((".yaml", ".yml"))])
        remedy = near or "; `thriftune init DATA_FILE` writes a study file for your data."
        dangling = f" ({missing(path)})" if path.is_symlink() else ""
        raise InputError(f"There is no study file {path}{dangling}{remedy}")
    check_file(path, "the study file (YAML)")
    if found.st_size > MOST_BYTES:
        raise InputError(f"{path} has {found.st_size:,} bytes; a study file has at most {MOST_BYTES:,}. Is it one?")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None


def _list(reader: Reader, value: Any, path: KeyPath, read: Any) -> Any:
    items = value if isinstance(value, list) else [value]
    found = [read(reader, item, (*path, index)) for index, item in enumerate(items)]
    return BAD if any(item is BAD for item in found) else tuple(found)


def _method(reader: Reader, entry: Any, path: KeyPath, folder: Path) -> Any:
    """A method from `lora`, `{lora: {rank: 4}}` or `{lora: null}`; code beside the study file is found in `folder`."""
    named = {entry: None} if isinstance(entry, str) else entry
    if not isinstance(named, dict) or not named:
        reader.note(path, f"{shown(entry)} is given; allowed: a method's name, or {{name: {{settings}}}}")
        return BAD
    methods = discover()
    if not all(isinstance(name, str) for name in named):
        reader.note(path, f"{shown(entry)} is given; a method's name is text")
        return BAD
    if len(named) > 1:
        first = next(iter(named))
        hint = "indent a method's settings below its name" if first in methods else "give one method per entry"
        reader.note(path, f"{shown(entry)} has {len(named)} keys; {hint}, as in {{lora: {{rank: 8}}}}")
        return BAD
    name, settings = next(iter(named.items()))
    cls = _class(reader, name, path, folder)
    if cls is BAD:
        return BAD
    settings = {} if settings is None else settings
    if isinstance(settings, dict):
        try:
            settings = cls.prepare(settings)
        except SettingsError as error:
            for key, message in error.problems:
                reader.note((*path, name, key), message)
            return BAD
        except TypeError:
            pass  # a value of the wrong type, which is reported below
    return reader.settings(cls, settings, (*path, name))


def _class(reader: Reader, name: str, path: KeyPath, folder: Path) -> Any:
    methods = discover()
    if ":" in name:
        try:
            return find(name, folder)
        except InputError as error:
            reader.note(path, str(error))
            return BAD
    if name not in methods:
        close = did_you_mean(name, methods)
        reader.note(path, f"method {shown(name)} is not known{close or ';'} known: {', '.join(methods)}")
        return BAD
    return methods[name]


def _run(reader: Reader, entry: Any, path: KeyPath, base: Any, folder: Path) -> Any:
    base = base if isinstance(base, dict) else {}
    special = {
        "method": lambda value, at: _method(reader, value, at, folder),
        "protocol": lambda value, at: _run_protocol(reader, value, at, base),
    }
    if isinstance(entry, dict):
        entry = {"protocol": {}, **entry}
    return reader.settings(RunSettings, entry, path, special)


def _run_protocol(reader: Reader, value: Any, path: KeyPath, base: dict[str, Any]) -> Any:
    """The study's protocol with the run's keys over it; the study's own problems are not repeated."""
    if not isinstance(value, dict):
        return reader.value(StudyProtocol, value, path)
    alone, both = Reader(reader.homes), Reader(reader.homes)
    alone.settings(StudyProtocol, base, path)
    protocol = both.settings(StudyProtocol, merged(base, value), path)
    for key, message in both.problems:
        if (key, message) not in alone.problems:
            reader.note((key,), message)
    return protocol


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        keys = {key: _plain(getattr(value, key)) for key in public_fields(type(value))}
        return {value.NAME: keys} if isinstance(value, Method) else keys
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _homes() -> dict[str, str]:
    """Where each key of the protocol, the data and the head belongs; the first place found wins."""
    found: dict[str, str] = {"learning_rate": "methods: [{NAME: {learning_rate: ...}}]"}

    def add(cls: type[Settings], path: KeyPath) -> None:
        for key in public_fields(cls):
            inner = settings_class(type_hints(cls)[key])
            if path:
                found.setdefault(key, dotted((*path, key)))
            if inner is not None and not issubclass(inner, Method | RunSettings):
                add(inner, (*path, key))

    add(StudySettings, ())
    return found
