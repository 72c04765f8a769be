"""The command that trains a study for longer or with more seeds, and its time by the runs' own measured costs."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from thriftune import wording as f
from thriftune.analysis.findings.runs import is_baseline
from thriftune.paths import named
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.store import Results

TIMES = 2
"""So many times the budget is proposed."""
MOST_EPOCHS = 100_000
SEEDS = 3
"""So many seeds are proposed where there was one."""


@dataclass(frozen=True)
class More:
    """A command that gives every method a larger budget, more seeds, or both."""

    command: str
    seconds: float | None
    """Predicted from measured costs, for all runs that it makes; None where one of them has none."""
    most: bool
    """Whether `seconds` is a bound, because training may end earlier."""
    what: str
    """What the command raises: "6 epochs"."""
    options: str
    """The command's `--set` options alone."""

    @property
    def time(self) -> str:
        """The predicted time in words."""
        if self.seconds is None:
            return "its time cannot be predicted: not every run's cost is known"
        return f"predicted {'at most' if self.most else 'about'} {_rounded_up(self.seconds)} by these runs' own times"

    @property
    def short_time(self) -> str | None:
        """The predicted time alone: "about 30 min"; None where it is not known."""
        if self.seconds is None:
            return None
        return f"{'at most' if self.most else 'about'} {_rounded_up(self.seconds)}"

    @property
    def sentence(self) -> str:
        """What the command does; the command itself stands apart, so that it can be copied."""
        return f"{self.what} for every method would tell ({self.time}):"


def more(results: Results, still: list[RunRecord], limited: list[RunRecord], repeats: bool = False) -> More | None:
    """The command for the runs that were still improving, with `repeats` for more seeds too; None where neither can be.

    A study of a grid shares one protocol; in a list of runs each has its own, and those of the same models as the runs
    that were still improving are raised, so that they stay comparable.
    """
    tuned = [run for run in results.runs if not is_baseline(run)]
    changes, again = _longer(results, tuned, still) if still else ({}, [])
    seeds = _more_seeds(results, tuned) if repeats else []
    if not changes and not seeds:
        return None
    out = named(results.store.path)
    sets = [f"--set {key}={_plain(value)}" for key, value in changes.items()]
    sets += [f"--set {shlex.quote(f'seeds={seeds}'.replace(' ', ''))}"] if seeds else []
    command = (
        f"thriftune compare {shlex.quote(named(results.store.study_path))} --out {shlex.quote(out)} {' '.join(sets)}"
    )
    auto = any(key.rsplit(".", 1)[-1] != "epochs" for key in changes)
    longer = {run.run_id for run in (*still, *limited)} if auto else {run.run_id for run in again}
    first = _seconds(again, longer)
    further = _seconds(tuned, longer if changes else set())
    rounds = len(seeds) / len(_seeds(results, tuned)) - 1 if seeds else 0.0
    seconds = None if first is None or further is None else first + rounds * further
    parts = ([_what(changes)] if changes else []) + ([f"{len(seeds)} seeds"] if seeds else [])
    return More(command, seconds, auto, f.listing(parts), " ".join(sets))


def _longer(
    results: Results, tuned: list[RunRecord], still: list[RunRecord]
) -> tuple[dict[str, float], list[RunRecord]]:
    """The keys that raise the budget, with their values, and the runs that they train again."""
    listed = results.study.study.get("runs") or []
    if not listed:
        return _raised("protocol.", still[0].protocol, still), tuned
    models = {run.model for run in still}
    changes: dict[str, float] = {}
    for i, entry in enumerate(listed):
        if entry.get("model") in models:
            changes |= _raised(f"runs.{i}.protocol.", dict(entry.get("protocol") or {}), still)
    return changes, [run for run in tuned if run.model in models]


def _seeds(results: Results, tuned: list[RunRecord]) -> list[int]:
    return [int(seed) for seed in results.study.study.get("seeds") or sorted({run.seed for run in tuned})]


def _more_seeds(results: Results, tuned: list[RunRecord]) -> list[int]:
    """The study's seeds and further ones; empty where it has enough, or every run of a list has its own."""
    listed = results.study.study.get("runs") or []
    seeds = _seeds(results, tuned)
    if len(seeds) >= SEEDS or (listed and all(entry.get("seed") is not None for entry in listed)):
        return []
    further = [seed for seed in range(SEEDS + len(seeds)) if seed not in seeds]
    return [*seeds, *further[: SEEDS - len(seeds)]]


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
