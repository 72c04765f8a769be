"""The learning rate over training."""

from __future__ import annotations

import math
from typing import Any

from thriftune.engine.protocol import Protocol

SMALL_SET, SMALL_SET_EPOCHS = 1_000, 14.0
"""Texts, and passes over them until validation no longer improves, patience included: a guess."""
FALL = 0.37
"""The passes fall with the number of texts to this power: 6 of 10,000 texts, 2.5 of 100,000; a guess."""


class Schedule:
    """Gives the factor on the peak learning rate for each step of a training whose number of steps is known.

    Warm-up rises linearly from 0; linear and cosine then fall to 0 at the last step, as transformers' schedules
    of those names do; stable falls linearly over the last steps alone (Hägele et al. 2024, arXiv:2405.18392). plateau
    multiplies by `factor` when the validation loss has not fallen (by more than 0.01%) for more than `patience`
    epochs, as torch's ReduceLROnPlateau does.
    """

    def __init__(self, protocol: Protocol, steps: int) -> None:
        self.settings = protocol.schedule
        self.type = protocol.schedule_type
        self.steps = steps
        self.warmup_steps = math.ceil(self.settings.warmup_share * steps)
        self.scale = 1.0
        self.best = math.inf
        self.bad_epochs = 0

    def factor(self, step: int) -> float:
        """The factor at a step, counted from 0."""
        if step < self.warmup_steps:
            return self.scale * step / max(1, self.warmup_steps)
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        if self.type == "linear":
            return max(0.0, 1.0 - progress)
        if self.type == "stable":
            falling = math.ceil(self.settings.decay_share * self.steps)
            return self.scale * min(1.0, (self.steps - step) / falling)
        if self.type == "cosine":
            return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))
        return self.scale

    @property
    def idle(self) -> bool:
        """Whether no step has a rate above 0, so that training would change nothing."""
        return not any(self.factor(step) > 0 for step in range(self.steps))

    def notes(self) -> list[str]:
        """Says so where warm-up takes all steps: the rate stays below its peak, or at 0."""
        if self.warmup_steps < self.steps:
            return []
        reached = "stays at 0" if self.idle else f"reaches {self.factor(self.steps - 1):.0%} of its peak"
        return [
            f"Warm-up takes all {self.steps} optimiser step{'s' * (self.steps != 1)}: the learning rate {reached}. "
            "Set schedule.warmup to 0, or train for more steps (more epochs, smaller batches)."
        ]

    def state(self) -> dict[str, float]:
        """What a plateau schedule has heard."""
        return {"scale": self.scale, "best": self.best, "bad_epochs": self.bad_epochs}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there."""
        self.scale, self.best, self.bad_epochs = state["scale"], state["best"], state["bad_epochs"]

    def epoch_ended(self, validation_loss: float | None) -> None:
        """Tells a plateau schedule how the epoch went; does nothing for the others."""
        if self.type != "plateau" or validation_loss is None:
            return
        if validation_loss < self.best * (1 - 1e-4):
            self.best, self.bad_epochs = validation_loss, 0
            return
        self.bad_epochs += 1
        patience = 2 if self.settings.patience is None else self.settings.patience
        if self.bad_epochs > patience:
            self.scale *= 0.5 if self.settings.factor is None else self.settings.factor
            self.bad_epochs = 0


def optimizer_steps(texts: int, protocol: Protocol) -> int:
    """How often training on so many texts updates the weights, over all epochs; at most, with epochs auto."""
    return epoch_steps(texts, protocol) * protocol.most_epochs


def epoch_steps(texts: int, protocol: Protocol) -> int:
    """How often one epoch of so many texts updates the weights."""
    return math.ceil(math.ceil(texts / protocol.batch_size) / protocol.accumulate)


def expected_steps(protocol: Protocol, texts: int) -> int:
    """Optimiser steps of a training on so many texts: exact for a number of epochs, a guess with `epochs: auto`.

    The guess knows no seconds: a budget's `seconds` may end a training sooner.
    """
    epoch = epoch_steps(texts, protocol)
    if protocol.epochs != "auto":
        return epoch * protocol.epochs
    budget = protocol.budget
    most = epoch * budget.max_epochs
    passes = SMALL_SET_EPOCHS * float(max(1.0, texts / SMALL_SET) ** -FALL)
    plateau = max(budget.min_steps, math.ceil(passes * epoch))
    share = protocol.schedule.decay_share if protocol.schedule_type == "stable" else 0.0
    return max(1, min(most, math.ceil(plateau / (1 - share))))
