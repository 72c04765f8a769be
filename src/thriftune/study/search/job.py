"""What the process of a search is given, and what it tells."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from thriftune.results.search import CellSearch, Trial, TrialState
from thriftune.study.events import SearchProgress
from thriftune.study.file.search_settings import Dimension, SearchSettings
from thriftune.study.run.job import Job

Tell = Callable[[SearchProgress], None]


@dataclass(frozen=True)
class SearchJob:
    """One cell's search; it can be pickled."""

    job: Job
    """A run of the cell as the study file has it, with the training and validation texts alone."""
    space: dict[str, Dimension]
    settings: SearchSettings
    search: CellSearch
    """Who and what is searched; without trials."""
    database: Path
    session: str
    """Stands for this call of compare: what failed in it is not tried again in it."""
    died: tuple[TrialState, str] | None = None
    """How the process before ended in the middle of a trial, and in words."""


@dataclass(frozen=True)
class TrialsDone:
    """The last message of a search's process."""

    trials: list[Trial]


@dataclass(frozen=True)
class NotSearched:
    """The last message of a process that could not search: what the user can do about it."""

    message: str


def trial_seed(seed: int, number: int) -> int:
    """The seed that trial `number` of every method is trained with: 31 bits."""
    return _hashed(f"trial {seed} {number}")


def sampler_seed(seed: int, number: int) -> int:
    """The seed of what is drawn for trial `number`, whichever trials were made in one go: 31 bits."""
    return _hashed(f"draw {seed} {number}")


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4]) >> 1
