"""The hook that keeps how sure training was of every text's true label, epoch by epoch."""

from __future__ import annotations

import numpy as np

from thriftune.engine.step import Step
from thriftune.engine.train import Hook


class Dynamics(Hook):
    """Reads the losses that the steps computed anyway, once an epoch and outside the timed part.

    They are those of training: with dropout, and each under the weights of its step (Swayamdipta et al., 2020, take
    them so too).
    """

    def __init__(self) -> None:
        self._step: Step | None = None
        self._epochs: list[np.ndarray] = []

    def train_started(self, step: Step) -> None:
        """Remembers the step whose losses are read."""
        self._step = step

    def epoch_ended(self) -> None:
        """Copies the epoch's losses from the device."""
        if self._step is not None:
            self._epochs.append(self._step.losses.cpu().numpy().copy())

    @property
    def true_probability(self) -> np.ndarray:
        """Probability of the true label, (whole epochs, texts), float32."""
        return np.exp(-np.array(self._epochs, dtype=np.float32))
