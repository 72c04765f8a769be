"""What a training has summed up so far, of which its history and its looks at validation are made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Answers:
    """What a look at validation found, for the gain over the last epoch."""

    step: int
    accuracy: float
    predicted: np.ndarray
    """(validation texts,) class ids."""


@dataclass
class Sums:
    """Sums over the steps of a stretch; those of losses and hits stay on the device."""

    loss: torch.Tensor
    """Of the windows that are over."""
    window_loss: torch.Tensor
    correct: torch.Tensor
    texts: int
    window_texts: int

    @classmethod
    def zero(cls, device: torch.device) -> Sums:
        """Before the first step."""
        correct = torch.zeros((), device=device, dtype=torch.int64)
        return cls(torch.zeros((), device=device), torch.zeros((), device=device), correct, 0, 0)


@dataclass
class Since:
    """Sums over the steps since the last look at validation."""

    loss: float = 0.0
    correct: int = 0
    texts: int = 0
    seconds: float = 0.0
