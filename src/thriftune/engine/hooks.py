"""What watches a training: the hooks of the loop, what they are told, and how they may end it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.data.large.arrays import room_for

if TYPE_CHECKING:
    from thriftune.engine.step import Step
    from thriftune.results.history import EpochPoint


class DivergedError(Exception):
    """The training loss is no longer a finite number."""


class StopTraining(Exception):  # noqa: N818 - it is no error
    """A hook raises it to end a training whose weights nobody wants any more."""


@dataclass(frozen=True)
class Progress:
    """Where training stands, for hooks."""

    epoch: int
    """1-based."""
    step: int
    """Steps done over all epochs."""
    steps: int
    """Steps of the whole training; the most that it may take where its end is not known."""
    texts: int
    """Texts seen over all epochs."""
    loss: float | None
    """Mean over the last window; None until there is one."""
    learning_rate: float
    """Of the last step."""


class Hook:
    """Watches the loop; every method may be left out. The cost meter and the progress display are hooks."""

    def train_started(self, step: Step) -> None:
        """Before the first step; the model is in training mode."""

    def steps_started(self) -> None:
        """Before steps that run without a break: an epoch's, or some of them."""

    def stepped(self, progress: Progress) -> None:
        """After a step; called inside the timed part, so it must be quick."""

    def steps_done(self, seconds: float) -> None:
        """After the last of them and before any evaluation; `seconds` is their time, whole even if they broke off."""

    def epoch_ended(self) -> None:
        """When every training text was seen once more, after `steps_done` and before any evaluation."""

    def evaluated(self, seconds: float) -> None:
        """After an evaluation on validation."""

    def looked(self, point: EpochPoint) -> None:
        """After a look at validation, when its point stands in the history; may raise `StopTraining`."""

    def kept(self) -> None:
        """When the present weights are the best so far."""

    def put_back(self) -> None:
        """When the weights that were kept last are the present ones again."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it, between two steps, as `engine.resume.state.State` has it."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes such a state, before `train_started`, which comes again where a training goes on."""


class Dynamics(Hook):
    """Keeps how sure training was of every text's true label, epoch by epoch, outside the timed part.

    The losses that it reads are those of training: with dropout, and each under the weights of its step (Swayamdipta
    et al., 2020, take them so too).
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

    def state(self) -> dict[str, Any]:
        """The epochs."""
        return {"epochs": list(self._epochs)}

    def restore(self, state: dict[str, Any]) -> None:
        """Takes them."""
        self._epochs = list(state["epochs"])

    @property
    def true_probability(self) -> np.ndarray:
        """Probability of the true label, (whole epochs, texts), float32."""
        found = room_for((len(self._epochs), len(self._epochs[0]) if self._epochs else 0), np.float32)
        for row, losses in zip(found, self._epochs, strict=True):
            np.exp(np.negative(losses, out=row, dtype=np.float32), out=row)
        return found
