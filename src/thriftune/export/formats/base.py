"""What a format is: one file here that writes a classifier into a folder, and the code that another library runs."""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from thriftune.export.form import Form
from thriftune.export.trained import Trained

NOT_TOKENIZER = ("config.json", "adapter_config.json", "settings.json", "labels.json", "thriftune.json", "README.md")


@dataclass(frozen=True)
class Options:
    """What a user may ask for."""

    temperature: float | None = None
    """Divides the logits; None leaves probabilities as trained."""


@dataclass(frozen=True)
class Variant:
    """One model in the folder, with Python that loads it and defines `probabilities` and `labels`."""

    name: str
    code: str
    files: tuple[str, ...]
    """Its weight files."""
    exact: bool = True
    """Whether it must give the run's probabilities; else how far it is from them is only stated."""


@dataclass(frozen=True)
class Written:
    """What a format wrote."""

    form: Form
    variants: tuple[Variant, ...]
    notes: tuple[str, ...] = ()
    """For the terminal."""


class Format(ABC):
    """A way in which another library stores a classifier."""

    NAME: ClassVar[str]
    """As the command takes it."""
    SUMMARY: ClassVar[str]
    """One line for the help."""
    PACKAGES: ClassVar[tuple[str, ...]] = ()
    """Import names that it needs beyond Thriftune's own."""
    EXTRA: ClassVar[str] = ""
    """The extra of Thriftune that installs them."""

    def refusal(self, found: Trained) -> str | None:
        """Why a classifier has no such form, in a clause; None where it has."""
        return None

    def missing(self) -> str | None:
        """The command that installs what is not there; None where all is."""
        if all(find_spec(name) is not None for name in self.PACKAGES):
            return None
        return f"pip install 'thriftune[{self.EXTRA}]'"

    @abstractmethod
    def write(self, found: Trained, folder: Path, options: Options) -> Written:
        """Writes the classifier into an empty folder; raises `InputError` where that cannot be done."""


def copy_tokenizer(found: Trained, folder: Path) -> None:
    """Copies the run's tokenizer, which cuts texts where training did."""
    for path in found.folder.iterdir():
        if path.is_file() and path.suffix != ".safetensors" and path.name not in NOT_TOKENIZER:
            shutil.copyfile(path, folder / path.name)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["model_max_length"] = found.usage.max_tokens
    path.write_text(json.dumps(settings, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def weight_files(folder: Path) -> tuple[str, ...]:
    """The names of the files that hold weights, without folders below."""
    return tuple(sorted(path.name for path in folder.glob("*.safetensors")))
