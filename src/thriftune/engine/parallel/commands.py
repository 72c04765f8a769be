"""What the first process tells the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Load:
    """Load the model that a job's method changes, and its texts."""

    job: Any
    without: int
    """The layers that are left out."""


@dataclass(frozen=True)
class Stage:
    """Run every so many-th batch of a split's texts through neighbouring frozen layers."""

    split: str
    bottom: int | None
    top: int
    first: int
    """The batches before, which an earlier pass has made."""


@dataclass(frozen=True)
class Prefixed:
    """A split's prefix is there."""

    split: str
    layer: int
    shape: tuple[int, ...]
    dtype: str
    path: str | None
    """The file that holds its values; None where they come by the connection."""


@dataclass(frozen=True)
class Frozen:
    """What to do with the weights of the frozen layers."""

    released: bool
    """They are let go; else they are read back."""


@dataclass(frozen=True)
class Fit:
    """Begin a training."""

    learning_rate: float
    head_learning_rate: float | None
    seed: int


@dataclass(frozen=True)
class Steps:
    """Make optimisation steps."""

    groups: list[list[np.ndarray]]
    rates: list[float]
    done: int
    """The steps before."""
    most: int
    """Of the whole training; a method's watcher wants to know."""
    random: torch.Tensor
    """The state of the first process's random numbers."""
    state: bool
    """Whether trained weights and the optimiser's state come by the connection first."""
    watcher: Any
    """The state of the first process's watcher then, where it has one."""


@dataclass(frozen=True)
class Predict:
    """Predict every so many-th batch of a split's texts."""

    split: str
    weights: bool
    """Whether the trained weights come first."""
    texts: np.ndarray | None
    """Whose vectors are wanted too."""


@dataclass(frozen=True)
class Fitted:
    """The training is over."""


@dataclass(frozen=True)
class Memory:
    """Tell the bytes that training and the process took at their peak."""


@dataclass(frozen=True)
class End:
    """Nothing comes after this."""
