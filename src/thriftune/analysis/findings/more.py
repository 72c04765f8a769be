"""The command that trains a study for longer, and how long it would take by the runs' own measured costs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from thriftune import wording as f
from thriftune.analysis.findings.runs import is_baseline
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TIMES = 2
"""So many times the budget is proposed."""
MOST_EPOCHS = 100_000


@dataclass(frozen=True)
class More:
    """A command that gives every method a larger budget."""

    command: str
    seconds: float | None
    """Predicted from measured costs, for all runs that it makes; None where one of them has none."""
    most: bool
    """Whether `seconds` is a bound, because training may end earlier."""
    what: str
    """What the command raises: "6 epochs"."""

    @property
    def time(self) -> str:
        """The predicted time in words."""
        if self.seconds is None:
            return "its time cannot be predicted: not every run's cost is known"
        return f"predicted {'at most' if self.most else 'about'} {_rounded_up(self.seconds)} by these runs' own times"

    @property
    def sentence(self) -> str:
        """What the command does; the command itself stands apart, so that it can be copied."""
        return f"{self.what} for every method would tell ({self.time}):"


def more(results: Results, still: list[RunRecord], limited: list[RunRecord]) -> More | None:
    """The command for the runs that were still improving; None where their budget cannot be raised.

    A study of a grid shares one protocol; in a list of runs each has its own, and those of the same models as the runs
    that were still improving are raised, so that they stay comparable.
    """
    listed = results.study.study.get("runs") or []
    models = {run.model for run in still}
    if listed:
        keys = {f"runs.{i}.": entry for i, entry in enumerate(listed) if entry.get("model") in models}
        changes: dict[str, float] = {}
        for prefix, entry in keys.items():
            changes |= _raised(f"{prefix}protocol.", dict(entry.get("protocol") or {}), still)
        again = [run for run in results.runs if run.model in models and not is_baseline(run)]
    else:
        changes = _raised("protocol.", still[0].protocol, still)
        again = [run for run in results.runs if not is_baseline(run)]
    if not changes:
        return None
    out = str(results.store.path)
    sets = " ".join(f"--set {key}={_plain(value)}" for key, value in changes.items())
    command = f"thriftune compare {shlex.quote(str(results.store.study_path))} --out {shlex.quote(out)} {sets}"
    auto = any(key.rsplit(".", 1)[-1] != "epochs" for key in changes)
    longer = {run.run_id for run in (*still, *limited)} if auto else {run.run_id for run in again}
    return More(command, _seconds(again, longer), auto, _what(changes))


def _raised(prefix: str, protocol: dict[str, Any], still: Iterable[RunRecord]) -> dict[str, float]:
    """The keys that limited training, with twice their values."""
    epochs = protocol.get("epochs")
    if isinstance(epochs, int) and not isinstance(epochs, bool):
        return {f"{prefix}epochs": TIMES * epochs} if TIMES * epochs <= MOST_EPOCHS else {}
    budget = protocol.get("budget") or {}
    ends = {run.training.ended for run in still if run.training is not None}
    return {
        f"{prefix}budget.{key}": TIMES * float(budget[key])
        for key in ("max_epochs", "seconds")
        if key in ends and isinstance(budget.get(key), int | float)
    }


def _rounded_up(seconds: float) -> str:
    """A prediction, to no more than whole seconds or minutes."""
    if seconds <= 59:
        return f"{max(1, math.ceil(seconds))} s"
    return f"{math.ceil(seconds / 60)} min" if seconds <= 3540 else f.seconds(seconds)


def _plain(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _what(changes: dict[str, float]) -> str:
    values = {(key.rsplit(".", 1)[-1], value) for key, value in changes.items()}
    if len(values) > 1:
        return "Twice the budget"
    ((key, value),) = values
    if key == "seconds":
        return f"{f.seconds(value)} of training"
    return f"{'At most ' if key == 'max_epochs' else ''}{f.count(value)} epochs"


def _seconds(runs: list[RunRecord], longer: set[str]) -> float | None:
    """What these runs took, with the steps and the looks at validation of those that train longer taken twice."""
    costs = [(run, run.cost) for run in runs]
    if any(cost is None for run, cost in costs if run.status == "done"):
        return None
    total = sum(_of(cost, TIMES if run.run_id in longer else 1) for run, cost in costs if cost is not None)
    return total if math.isfinite(total) else None


def _of(cost: Cost, times: int) -> float:
    prefix = 0.0 if cost.prefix_reused else cost.prefix_seconds
    return cost.load_seconds + prefix + times * (cost.train_seconds + cost.evaluate_seconds)
