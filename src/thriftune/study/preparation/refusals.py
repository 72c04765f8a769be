"""Runs of a study that cannot be run: each is refused by itself, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from thriftune.errors import InputError
from thriftune.study.file.plan import PlannedRun


@dataclass(frozen=True)
class Checked:
    """What was found of a study's models and methods."""

    models: dict[str, Path]
    """Folder of each model that is there, by its name in the study."""
    refused: dict[str, str]
    """Why a run cannot be run, by its name."""


def check_some_left(runs: Iterable[PlannedRun], refused: dict[str, str]) -> None:
    """Raises `InputError` with every message where no run of a study can be run."""
    if refused and all(run.name in refused for run in runs):
        raise all_refused(refused)


def all_refused(refused: dict[str, str]) -> InputError:
    """One error of why each run (or cell) cannot be run, by its name; what several share is said once."""
    names: dict[str, list[str]] = {}
    for name, message in refused.items():
        names.setdefault(message, []).append(name)
    if len(names) == 1:
        message, of = next(iter(names.items()))
        return InputError(message if len(of) > 1 or message.startswith(of[0]) else f"{of[0]}: {message}")
    lines = [f"- {', '.join(of)}: {message}" for message, of in names.items()]
    return InputError("\n".join(["No run of this study can be run.", *lines]))
