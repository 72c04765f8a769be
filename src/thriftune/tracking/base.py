"""What a tracker does with a study.

Each tracker uses its library's own interface. accelerate's `GeneralTracker`s, which wrap the same libraries, know one
run at a time (`mlflow.start_run` without an id, `wandb.init` as the process's run), hold no files and find no earlier
run: a study has many runs, several of them at once, and goes on with what is there.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from thriftune.errors import InputError, unknown_name
from thriftune.tracking.values import Logged

TRACKERS = {"mlflow": "mlflow", "tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb"}
"""The trackers, each a module here, and the package that it needs."""


@dataclass(frozen=True)
class TrackedStudy:
    """What is tracked."""

    name: str
    """Of the study: the project or experiment."""
    out: Path
    """Its output folder."""

    @property
    def folder(self) -> Path:
        """Where trackers lay files that have no other place."""
        return self.out / "tracking"


class Tracker(Protocol):
    """One tracker, used by one thread. Its methods may raise whatever its library raises."""

    where: str
    """Where the runs are found, for people."""

    def holds(self, run_id: str) -> bool:
        """Whether it has a run to its end."""

    def begin(self, run_id: str, name: str) -> None:
        """A run begins, or goes on."""

    def progress(self, run_id: str, step: int, values: dict[str, float]) -> None:
        """Where a run stands, while it goes on."""

    def finish(self, run: Logged) -> None:
        """Everything about a run that has ended; `begin` came before or did not."""

    def report(self, page: Path, shown: str) -> None:
        """The study's page, and what it is called elsewhere."""

    def close(self) -> None:
        """Ends: runs that began and did not finish are left as broken off."""


def tracker(name: str, study: TrackedStudy) -> Tracker:
    """The tracker of that name, ready for a study; in the thread that is to use it."""
    module = importlib.import_module(f"thriftune.tracking.{name}")
    return cast(Tracker, module.open_tracker(study))


def check(names: Sequence[str]) -> list[str]:
    """The names, each once; raises `InputError` for an unknown one, a missing package and what else is known before."""
    for name in names:
        if name not in TRACKERS:
            raise unknown_name("The tracker", name, TRACKERS)
        if importlib.util.find_spec(TRACKERS[name]) is None:
            raise InputError(f"--track {name} needs a package that is not installed: pip install 'thriftune[{name}]'.")
        module = importlib.import_module(f"thriftune.tracking.{name}")
        if (why := module.obstacle()) is not None:
            raise InputError(f"--track {name}: {why}")
    return list(dict.fromkeys(names))
