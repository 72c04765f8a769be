"""How a run's training went: what `run.json` holds under `training`, and under `search` of the rates it tried."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["plateau", "improving", "limit", "unknown"]


@dataclass(frozen=True)
class Training:
    """How a training ended, and whether it was still improving on validation by then."""

    ended: Literal["plateau", "max_epochs", "seconds", "epochs", "solved"]
    """plateau: validation had stopped improving; max_epochs, seconds: a limit of the budget came first; epochs: the
    number that the protocol asks for was done; solved: the head was solved, nothing was left to train."""
    steps: int
    """Optimiser steps."""
    epochs: float
    """Passes over the training texts; fractional where training ended within one."""
    gain: float | None
    """Validation accuracy (a share) gained over the last epoch at the full learning rate; None without validation,
    or after a single look at it."""
    noise: float | None
    """2 sqrt(d / n) an epoch: n validation texts, of which the share d changed their answer between the two looks."""
    state: State
    """What follows from them with the study's margin when the run was made: see `state_of`."""
    head_c: float | None = None
    """The strength C of the solved head; None where none was solved, and in results of earlier versions."""
    resumed: int = 0
    """How often the run was interrupted and went on from a checkpoint."""
    uncounted_seconds: float = 0.0
    """Seconds that these interruptions cost: training after the last checkpoint, which was done again, and loading.
    They are in no figure of `cost`."""
    checkpoint_seconds: float = 0.0
    """That training waited for checkpoints to be written; in no figure of `cost` either."""


@dataclass(frozen=True)
class FittedBatch:
    """Smaller batches that a run took where the study's ran out of memory; a step sees the same texts."""

    batch_size: int
    """Texts per forward and backward pass."""
    accumulate: int
    """Batches per optimiser step."""

    @property
    def words(self) -> str:
        """batch 32 as 4 x 8."""
        return f"batch {self.batch_size * self.accumulate:,} as {self.accumulate:,} x {self.batch_size:,}"

    def smaller(self) -> FittedBatch | None:
        """The next smaller batch with as many texts per step: half as large, or less where half does not divide them.

        None where a batch is one text.
        """
        texts = self.batch_size * self.accumulate
        sizes = (size for size in range(self.batch_size // 2, 0, -1) if texts % size == 0)
        size = next(sizes, None)
        return None if size is None else FittedBatch(size, texts // size)


@dataclass(frozen=True)
class SearchPoint:
    """One candidate of a learning-rate search."""

    learning_rate: float
    validation_accuracy: float
    validation_loss: float
    train_seconds: float
    steps: int | None = None
    """Optimiser steps that it was tried with; None in results of earlier versions."""


def improving(gain: float | None, noise: float | None, margin: float) -> bool | None:
    """Whether a gain over the last epoch exceeds the margin (accuracy points) and noise; None where it is not known."""
    if gain is None or noise is None:
        return None
    return gain > max(margin / 100, noise)


TELLING = 0.05
"""Noise above so many points of accuracy (a share) hides gains that matter: then no gain seen is no plateau."""


def state_of(ended: str, gain: float | None, noise: float | None, margin: float) -> State:
    """plateau: a budget ended because validation no longer improved (or the head was solved), or a fixed number of
    epochs ended without a measurable gain; improving: the last epoch still gained; limit: a budget's limit came first,
    without a measurable gain; unknown: there was no validation to tell, or (of a fixed number of epochs) so little that
    noise is more than 5 points.
    """
    if ended in ("plateau", "solved"):
        return "plateau"
    still = improving(gain, noise, margin)
    if still is None:
        return "unknown"
    if still:
        return "improving"
    if ended != "epochs":
        return "limit"
    return "unknown" if noise is not None and noise > TELLING else "plateau"
