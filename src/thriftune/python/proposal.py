"""A study for some data: what the caller says, and of the rest what `thriftune init` would propose."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.data.readers.plug_ins import scheme_of
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.methods.base import Method
from thriftune.paths import results_folder, source_name
from thriftune.python import frames
from thriftune.results.files import read_json, write_json, write_text
from thriftune.results.store import Store
from thriftune.study.file.config import Study, load_study, study_from_dict, study_to_dict, study_to_yaml
from thriftune.study.file.override import apply_overrides
from thriftune.study.file.plan import READ_BY_EMBEDDINGS
from thriftune.study.file.reader import public_fields
from thriftune.study.file.yaml_text import inline_yaml, parse_yaml
from thriftune.study.folder import alone_in, check_folder
from thriftune.study.proposal.draft import MODEL, draft
from thriftune.wording import one_line

if TYPE_CHECKING:
    from thriftune.data.guess.inspect import Guess

UNNAMED = "data"
"""What a study of tables in memory is called where nothing says."""
Say = Callable[[str], None]
MethodLike = str | Mapping[str, Any] | Method


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a caller says of a study; what is None is proposed, or stays as the study has it."""

    text: str | Sequence[str] | None = None
    label: str | None = None
    name: str | None = None
    methods: Sequence[MethodLike] | None = None
    model: str | Sequence[str] | None = None
    seeds: Sequence[int] | None = None
    overrides: Mapping[str, Any] | Sequence[str] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The text columns; none where they are to be guessed."""
        return (self.text,) if isinstance(self.text, str) else tuple(self.text or ())

    @property
    def models(self) -> tuple[str, ...] | None:
        """The models; None where one is proposed."""
        return (self.model,) if isinstance(self.model, str) else None if self.model is None else tuple(self.model)

    @property
    def settings(self) -> list[str]:
        """The overrides as `--set` takes them."""
        if isinstance(self.overrides, Mapping):
            return [f"{key}={inline_yaml(_plain(value))}" for key, value in self.overrides.items()]
        if isinstance(self.overrides, str):
            return [self.overrides]
        return list(self.overrides)

    def record(self, source: str) -> dict[str, Any]:
        """All of it as plain values: the same call says the same."""
        return {
            "source": source,
            "text": list(self.columns),
            "label": self.label,
            "name": self.name,
            "methods": None if self.methods is None else [_entry(each, {}) for each in self.methods],
            "models": self.models,
            "seeds": None if self.seeds is None else list(self.seeds),
            "overrides": self.settings,
        }


@dataclass(frozen=True)
class Proposed:
    """A study that fits some data, and why it is as it is."""

    study: Study
    reasons: tuple[str, ...]
    """A sentence for each guess and choice; how long it should take is the last."""
    warnings: tuple[str, ...]
    """What the data need before scores on them say what they seem to."""
    problem: str | None
    """Why `compare` would refuse the data as they are; None where it would not."""
    text: str
    """The study file, with the reasons as comments; paths in it are relative to `study.folder`."""

    def write(self, path: Path | str) -> Path:
        """Writes the study file, paths made relative to its folder, and returns its path."""
        path = Path(path)
        text = self.text if path.resolve().parent == self.study.folder else study_to_yaml(self.study, path.parent)
        write_text(path, text)
        return path

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        from thriftune.report.inline import code, listed

        marked = [f"! {warning}" for warning in (*self.warnings, *filter(None, [self.problem]))]
        return listed([*self.reasons, *marked]) + code(self.text)


def propose(
    data: Any, asked: Asked, out: Path | None = None, probe: bool = True, say: Say = lambda text: None
) -> Proposed:
    """The study that `compare` would make of the data; tables in memory are written into `out`.

    `probe`: whether this machine may be timed, for seconds, once. Raises `InputError` where the data cannot be used.
    """
    _check(asked)
    if not frames.is_frame(data):
        return _of_source(str(data), asked, Path.cwd(), probe, say, [])
    found = frames.tables(data, [*asked.columns, *([asked.label] if asked.label else [])])
    folder = out or results_folder(asked.name or found.name or UNNAMED)
    source = os.path.relpath(written(found, folder))  # a path that is not whole is written from the study's folder
    return _of_source(source, asked, folder.resolve(), probe, say, list(found.notes), found.name or UNNAMED)


def written(found: frames.Tables, out: Path) -> Path:
    """Tables in memory as files of an output folder; what of them a study names."""
    check_folder(out)
    with alone_in(out):
        store = Store(out)
        source = frames.write(found, store.data_path, used=store.results_path.exists())
        if not store.asked_path.exists():
            write_json(store.asked_path, {})  # by which the folder is known to be a study's
    return source


def earlier(asked: Asked, source: str, out: Path) -> Study | None:
    """The study that the same call made in the folder before; None where there is none."""
    store = Store(out)
    if not (store.asked_path.is_file() and store.study_path.is_file()):
        return None
    return load_study(store.study_path) if read_json(store.asked_path) == _comparable(asked, source) else None


def remember(asked: Asked, source: str, out: Path) -> None:
    """Keeps what was asked for, for `earlier`."""
    check_folder(out)
    with alone_in(out):
        write_json(Store(out).asked_path, _comparable(asked, source))


def _comparable(asked: Asked, source: str) -> dict[str, Any]:
    import json

    found: dict[str, Any] = json.loads(json.dumps(asked.record(source), default=str))
    return found


def changed(study: Study, asked: Asked) -> Study:
    """A study with what is asked for in the place of its own; paths still start at its folder."""
    _check(asked)
    if asked == Asked():
        return study
    return study_from_dict(
        _with(study_to_dict(study), asked, {}, study.folder), study.folder, f'the study "{study.name}"'
    )


def _of_source(
    source: str, asked: Asked, folder: Path, probe: bool, say: Say, notes: list[str], name: str | None = None
) -> Proposed:
    from thriftune.data.guess.inspect import guess
    from thriftune.study.proposal.max_tokens import token_room
    from thriftune.study.proposal.propose import initial

    say("looking at the data")
    guessed: Guess = guess(source, asked.columns, asked.label)
    model = (asked.models or (MODEL,))[0]
    space = token_room(guessed.texts, model)
    chosen = asked.methods is not None
    proposal = initial(guessed, space, model, probe and not chosen, say)
    why = proposal.reasons[:-1] if chosen else proposal.reasons  # the last is the time, of other methods
    title = asked.name or name or source_name(source)
    text = draft(guessed, space, proposal, title, folder)
    data = parse_yaml(text, title)
    proposed = {each.name: dict(each.settings) for each in proposal.methods}
    reasons = [_in_python(reason) for reason in (*notes, *guessed.reasons, space.reason, *why)]
    study = study_from_dict(_with(data, asked, proposed, folder), folder, title)
    if asked != Asked(text=asked.text, label=asked.label, name=asked.name):
        text = "".join(f"# {one_line(reason)}\n" for reason in reasons) + study_to_yaml(study)
    warnings = tuple(warning.text for warning in guessed.warnings)
    return Proposed(study, tuple(reasons), warnings, guessed.problem, text)


def _in_python(reason: str) -> str:
    """A reason as init gives it, its options as arguments."""
    return reason.replace("--text", "text=").replace("--label", "label=").replace("--no-probe", "probe=False")


def _with(
    data: dict[str, Any], asked: Asked, proposed: Mapping[str, Mapping[str, Any]], folder: Path
) -> dict[str, Any]:
    """A study's plain values with what is asked for; a method's bare name takes the settings proposed for it."""
    data = dict(data)
    if asked.name is not None:
        data["name"] = asked.name
    if asked.text is not None or asked.label is not None:
        given = {"text": list(asked.columns) or None, "label": asked.label}
        data["data"] = data["data"] | {key: value for key, value in given.items() if value is not None}
    if asked.methods is not None:
        data["methods"] = [_entry(each, proposed) for each in asked.methods]
        data.pop("runs", None)
        data = _without_idle(data, folder)
    if asked.models is not None:
        data["models"] = [_model(each) for each in asked.models]
    if asked.seeds is not None:
        data["seeds"] = list(asked.seeds)
    return apply_overrides(data, asked.settings)


def _without_idle(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The study without what was proposed for methods that it does not have: a model, a head, how they train."""
    names = [entry if isinstance(entry, str) else next(iter(entry), None) for entry in data["methods"]]
    try:
        classes = [find(str(name), folder) for name in names]
    except InputError:
        return data  # the study's checks say what is wrong with it
    idle: set[str] = set()
    if not any(cls.NEEDS_MODEL for cls in classes):
        idle = {"models", "protocol", "head", "seeds"}
    elif all(cls.BASELINE for cls in classes):
        idle = {"head", "seeds"}
        data["protocol"] = {key: value for key, value in data["protocol"].items() if key in READ_BY_EMBEDDINGS}
    return {key: value for key, value in data.items() if key not in idle}


def _model(name: str) -> str:
    """A model; a folder by its whole path, since the study's paths start elsewhere."""
    path = Path(name).expanduser()
    return str(path.absolute()) if not scheme_of(name) and path.is_dir() else name


def _entry(method: Any, proposed: Mapping[str, Mapping[str, Any]]) -> Any:
    """A method as a study file has it."""
    if isinstance(method, Method):
        _check_home(type(method))
        return {method.NAME: {key: _plain(getattr(method, key)) for key in public_fields(type(method))}}
    if isinstance(method, type) and issubclass(method, Method):
        _check_home(method)
        return method.NAME
    if isinstance(method, Mapping):
        return {name: _plain(settings) for name, settings in method.items()}
    settings = proposed.get(method) if isinstance(method, str) else None
    return {method: dict(settings)} if settings else method


def _check_home(cls: type[Method]) -> None:
    """Raises where a method's code is nowhere that a run's process could import it from."""
    import sys

    if cls.__module__ == "__main__" and not getattr(sys.modules["__main__"], "__file__", None):
        raise InputError(
            f"The method {cls.__name__} is defined in the notebook itself, where no run's process can import it. "
            f"Write it into a file, beginning a notebook's cell with %%writefile mine.py, and name mine:{cls.__name__}."
        )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    item = getattr(value, "item", None)  # numpy's numbers
    return item() if item is not None and getattr(value, "ndim", None) == 0 else value


def _check(asked: Asked) -> None:
    for key in ("methods", "seeds"):
        value = getattr(asked, key)
        if value is not None and (isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence)):
            example = "[0, 1, 2]" if key == "seeds" else '["lora", "full"]'
            raise InputError(f"{key} takes a list, for example {example}; {value!r} is given.")
