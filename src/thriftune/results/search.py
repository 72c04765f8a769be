"""What a study's search tried: `search.json`, and what `run.json` says of it under `searched`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from thriftune.metrics import sign
from thriftune.results.plain import SCHEMA_VERSION

TrialState = Literal["complete", "pruned", "diverged", "out_of_memory", "killed", "failed"]
Select = Literal["accuracy", "macro_f1", "loss"]


@dataclass(frozen=True)
class Trial:
    """One setting that was trained on train and scored on validation; the test texts are never looked at."""

    number: int
    """1-based; trial 3 of every method was trained with the same seed."""
    seed: int
    params: dict[str, Any]
    """The value of each key that was searched."""
    state: TrialState
    score: float | None
    """By `select`, of the weights that were kept; of a pruned trial the best look so far. None without one."""
    message: str | None
    """Why a trial is not complete; None otherwise."""
    epochs: float | None
    """Passes over the training texts by the last look at validation."""
    steps: int | None
    """Optimiser steps by then."""
    prefix_seconds: float
    """Of the frozen layers over the training texts, charged to the first trial of a method that needed so many."""
    train_seconds: float
    evaluate_seconds: float
    """Of the looks at validation."""

    @property
    def seconds(self) -> float:
        """All of them: what the trial cost."""
        return self.prefix_seconds + self.train_seconds + self.evaluate_seconds


@dataclass(frozen=True)
class CellSearch:
    """The search for one model and method."""

    cell: str
    model: str
    method: dict[str, Any]
    """As the study file has it, flat; what was searched takes the place of these values."""
    key: str
    """Stands for everything that the trials depend on, and names the search in `search.db`."""
    space: dict[str, Any]
    """What was searched: each key with its range or choice, as the study file has it."""
    select: Select
    """The validation score that counts."""
    trials: list[Trial]

    @property
    def seconds(self) -> float:
        """What all trials cost."""
        return sum(trial.seconds for trial in self.trials)

    def count(self, *states: TrialState) -> int:
        """How many trials ended in one of the states."""
        return sum(trial.state in states for trial in self.trials)

    @property
    def best(self) -> Trial | None:
        """The complete trial with the best score, the first of equals; None where none is complete."""
        complete = [trial for trial in self.trials if trial.state == "complete" and trial.score is not None]
        return max(complete, key=lambda trial: sign(self.select) * (trial.score or 0.0), default=None)

    def within(self, trials: int, seconds: float | None) -> list[Trial]:
        """The trials that a budget pays for: at most so many, none begun when the seconds before were used up."""
        found: list[Trial] = []
        spent = 0.0
        for trial in self.trials[:trials]:
            if seconds is not None and spent >= seconds:
                break
            found.append(trial)
            spent += trial.seconds
        return found


@dataclass(frozen=True)
class StudySearch:
    """`search.json`: every trial of a study's search, and the budget that each method had."""

    trials: int
    """At most so many for each model and method."""
    seconds: float | None
    """No trial began after so many seconds of trials; None without such a limit."""
    prune: Literal["median", "none"]
    seed: int
    cells: list[CellSearch] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def cell(self, name: str) -> CellSearch | None:
        """The search for a cell."""
        return next((cell for cell in self.cells if cell.cell == name), None)


@dataclass(frozen=True)
class Searched:
    """How a run's settings were found. The cost is that of the whole search, which all seeds of the cell share."""

    chosen: dict[str, Any]
    """The best trial's value of each key that was searched: they stand in the run's method and protocol."""
    space: dict[str, Any]
    select: Select
    score: float
    """The best trial's, on validation."""
    trials: int
    complete: int
    pruned: int
    failed: int
    """Diverged, out of memory, killed or failed."""
    seconds: float
    """Of all trials; no part of the run's own cost."""
    train_seconds: float
    """Their optimisation steps alone."""
    shared_by: int
    """Runs of the study that were trained with what this search chose: its seeds."""
