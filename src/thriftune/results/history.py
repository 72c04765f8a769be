"""The lines of `history.jsonl`: a run's training curves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class StepPoint:
    """A line of `history.jsonl`: training loss, averaged since the point before."""

    step: int
    epoch: float
    """Fractional: 1.5 is the middle of the second epoch."""
    loss: float
    learning_rate: float
    """Of the first parameter group."""
    kind: Literal["step"] = "step"


@dataclass(frozen=True)
class EpochPoint:
    """A line of `history.jsonl`: a look at validation, at the end of an epoch or within one.

    Training scores are means over the steps since the look before.
    """

    epoch: int | float
    """Epochs done: 1 after the first, 1.5 in the middle of the second."""
    step: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    validation_macro_f1: float | None
    learning_rate: float
    train_seconds: float
    """Of the steps since the look before."""
    changed: float | None = None
    """Share of the validation texts that changed their answer since about an epoch before; None at the first look."""
    kind: Literal["epoch"] = "epoch"
