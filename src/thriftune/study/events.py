"""What a running study tells its listener: plain frozen records, so that any display can show them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from thriftune.results.record import RunRecord
from thriftune.results.search import CellSearch


@dataclass(frozen=True)
class StudyPlanned:
    """The first event: which runs there are, and which of them are already done."""

    names: list[str]
    reused: list[str]
    """Names of the runs whose results are on disk and are taken as they are."""
    warnings: list[str] = field(default_factory=list)
    """What the data needs before scores on them say what they seem to."""
    run_ids: dict[str, str] = field(default_factory=dict)
    """Each run's id, by its name."""


@dataclass(frozen=True)
class Stage:
    """Work that belongs to no single run: reading data, tokenising, writing results."""

    text: str
    done: int = 0
    total: int | None = None
    """None where the amount of work is not known."""


@dataclass(frozen=True)
class Expected:
    """What training is expected to take, from published times; comes before anything is read."""

    seconds_by_model: dict[str, float]
    runs: int
    """How many of the runs to be made have a published time."""
    others: int
    device: str | None
    """What the published times were taken on, where that is stated and one."""


@dataclass(frozen=True)
class Notice:
    """A sentence that is to stay on the screen."""

    text: str


@dataclass(frozen=True)
class RunStarted:
    """A run begins; `index` counts from 1."""

    name: str
    index: int
    total: int


TRAINED = ("evaluating", "storing", "checking", "measuring")
"""The stages after training, in their order."""


@dataclass(frozen=True)
class RunProgress:
    """Where a run stands; what is not known (yet) is None."""

    name: str
    stage: Literal["loading", "prefix", "probing", "training", "evaluating", "storing", "checking", "measuring"]
    epoch: int | None = None
    """1-based."""
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    """Optimiser steps of the whole run."""
    loss: float | None = None
    """Training loss, averaged since the report before."""
    samples_per_second: float | None = None
    memory_bytes: int | None = None
    seconds_left: float | None = None
    tried_rate: float | None = None
    """The learning rate of a training that is only part of the search for one."""


@dataclass(frozen=True)
class RunLooked:
    """What a training's look at validation found; without a validation split its scores are None."""

    name: str
    epoch: float
    """Passes over the training texts."""
    step: int
    train_loss: float
    """Mean since the look before."""
    validation_loss: float | None
    validation_accuracy: float | None
    validation_macro_f1: float | None
    learning_rate: float
    """Of the last step."""
    tried_rate: float | None = None
    """As in `RunProgress`."""


@dataclass(frozen=True)
class RunFinished:
    """A run has ended, in whatever way its record's status says."""

    name: str
    record: RunRecord
    reused: bool


@dataclass(frozen=True)
class SearchProgress:
    """Where the search for one model and method stands."""

    name: str
    """The cell's."""
    trial: int
    """1-based."""
    trials: int
    """How many its budget allows."""
    select: Literal["accuracy", "macro_f1", "loss"]
    best: float | None
    """By `select`, of the complete trials before; None where there is none."""
    seconds_left: float | None = None
    epoch: float | None = None
    """Of the trial."""
    epochs: int | str | None = None


@dataclass(frozen=True)
class SearchFinished:
    """A search has ended, or was found to be there."""

    search: CellSearch
    reused: bool
    """Whether no trial was made."""


Event = (
    StudyPlanned
    | Stage
    | Expected
    | Notice
    | RunStarted
    | RunProgress
    | RunLooked
    | RunFinished
    | SearchProgress
    | SearchFinished
)
RunTold = RunProgress | RunLooked | Notice
"""What a run tells while it goes on."""
Listener = Callable[[Event], None]
