"""What a node is sent, and what it sends back."""

from __future__ import annotations

import pickle
import shutil
import site
import sys
import sysconfig
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from thriftune.study.run.job import Job
from thriftune.study.search.job import SearchJob

HUB = "snapshots"
"""What the hub's cache calls the folder of a model's versions."""


@dataclass(frozen=True)
class Parcel:
    """One run or search, ready to be sent."""

    task: int
    payload: bytes
    """The job, pickled: what its classes are imported from need not be there before `code` is on Python's path."""
    model: str | None
    """The model's folder."""
    code: str | None
    """A folder that all nodes see, with the modules that a study file names by their path."""
    by_value: bool
    """Whether the job holds classes of the program's main module, which no other process can import."""
    threads: int
    cache: str | None
    """The study's THRIFTUNE_CACHE; a node's own comes first."""
    variables: dict[str, str]
    """Further variables of the study's that numbers depend on."""
    seal: Seal
    attempt: int = 1


@dataclass(frozen=True)
class Seal:
    """By what a node knows that it can make the study's runs, and that it sees the study's folder."""

    path: str
    word: str
    """What the file at `path` holds."""
    versions: dict[str, str]
    """That must be the study's, by name."""


@dataclass(frozen=True)
class Made:
    """What was asked for."""

    found: Any
    """A run's record, or a search's trials."""
    at: float
    """When it was done, by the node's clock."""


@dataclass(frozen=True)
class Unfit:
    """The node cannot make the run; why."""

    why: str


@dataclass(frozen=True)
class Unseen:
    """The node does not see the model's folder."""

    host: str


@dataclass(frozen=True)
class Ended:
    """The task was interrupted."""


def packed(job: Job | SearchJob) -> tuple[bytes, bool]:
    """The job in bytes, and whether it holds classes of the main module, which then come along by value."""
    from ray import cloudpickle

    payload: bytes = cloudpickle.dumps(job)
    return payload, b"__main__" in pickle.dumps(job)


class Shared:
    """A folder that all nodes see, for what a run needs and they may not have."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._models: dict[str, Path] = {}
        self._code: dict[Path, Path] = {}

    def model(self, name: str, path: Path) -> Path | None:
        """A copy of a model for nodes that do not have it; None for a folder of the user's, which results refer to."""
        if not (name.startswith(("demo:", "hub:")) or path.parent.name == HUB):
            return None
        if str(path) not in self._models:
            key = sha256(str(path).encode()).hexdigest()[:12]
            # The hub's own names are kept: a stored adapter finds the name of its base in them.
            parts = path.parts[-3:] if path.parent.name == HUB else (path.name,)
            target = self.folder.joinpath("models", key, *parts)
            if not target.exists():
                half = target.with_name(f"{target.name}.half")
                shutil.rmtree(half, ignore_errors=True)
                shutil.copytree(path, half)
                half.replace(target)
            self._models[str(path)] = target
        return self._models[str(path)]

    def code(self, cls: type) -> str | None:
        """A folder with a copy of a class's module and of what lies beside it and is imported too.

        None where the class is part of an installed package, or of the program's main module.
        """
        top = cls.__module__.split(".")[0]
        source = None if top in ("thriftune", "__main__", "__mp_main__") else source_folder(sys.modules.get(top))
        if source is None:
            return None
        if source not in self._code:
            key = sha256(str(source).encode()).hexdigest()[:12]
            self._code[source] = self.folder / "code" / key
        target = self._code[source]
        for file in _modules_below(source):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        return str(target)


def source_folder(module: ModuleType | None) -> Path | None:
    """The folder on Python's path that a top module lies in; None for what is installed or built in."""
    file = getattr(module, "__file__", None)
    if module is None or file is None:
        return None
    folder = Path(file).resolve().parent
    if hasattr(module, "__path__"):
        folder = folder.parent
    installed = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), site.getusersitepackages()}
    if any(folder.is_relative_to(Path(each).resolve()) for each in installed):
        return None
    return folder


def _modules_below(folder: Path) -> list[Path]:
    """The files of all modules that are imported from a folder, Thriftune's own left out."""
    found: set[Path] = set()
    for name, module in list(sys.modules.items()):
        file: Any = getattr(module, "__file__", None)
        if file is None or name.split(".")[0] in ("thriftune", "__main__", "__mp_main__"):
            continue
        path = Path(file).resolve()
        if path.is_relative_to(folder) and path.suffix == ".py" and source_folder(sys.modules.get(name.split(".")[0])):
            found.add(path)
    return sorted(found)
