"""How a training goes on: which steps come next at which rate, when validation is looked at, when it ends."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from thriftune.engine.batches import training_batches
from thriftune.engine.protocol import Protocol
from thriftune.engine.schedule import Schedule, epoch_steps

FEWEST_STEPS, MOST_STEPS = 20, 200
"""Between looks at validation, where the study does not say."""
LOOKS = 5
"""In a long epoch: with the usual patience no training ends before it has seen about all texts."""
SMALLEST_GAIN = 0.01
"""Of the validation loss, as a share of it: what falls by less has not improved."""

Ended = typing.Literal["plateau", "max_epochs", "seconds", "epochs", "solved"]
"""As `results.training.Training` has it."""


@dataclass(frozen=True)
class Stretch:
    """Steps that run without a break."""

    epoch: int
    """1-based."""
    groups: list[list[np.ndarray]]
    """The batches of each step."""
    factors: list[float]
    """On the peak learning rate, for each step."""
    ends_epoch: bool
    look: bool
    """Whether validation is looked at afterwards."""
    falls: bool = False
    """Whether the rate begins to fall: weights that fell behind the best so far are put back first."""


@dataclass(frozen=True)
class Look:
    """What a look at validation tells a pace."""

    loss: float
    score: float
    """The one by which weights are picked; more is better."""


class Pace:
    """The way of one training."""

    ended: Ended = "epochs"
    """Why it ended; known when its stretches are done."""
    steady = True
    """Whether the learning rate is at its full height, or falls by the plan for a known end."""
    most_steps: int
    """No more steps than these are done."""

    def stretches(self) -> Iterator[Stretch]:
        """What to run, one after the other; each is asked for when the one before has run and was looked at."""
        raise NotImplementedError

    def looked(self, look: Look | None, seconds: float) -> None:
        """Told after each look at validation (None: there is no validation), with the training seconds so far."""

    def stop(self) -> None:
        """No further stretch."""

    def notes(self) -> list[str]:
        """What the user should know about the way."""
        return []

    def state(self) -> dict[str, typing.Any]:
        """Where the way stood before the stretch that runs."""
        raise NotImplementedError

    def restore(self, state: dict[str, typing.Any]) -> None:
        """Before `stretches` is called: its first one is then the one that ran."""
        raise NotImplementedError


def pace_of(protocol: Protocol, texts: int, validation_texts: int, seed: int, probe_steps: int | None = None) -> Pace:
    """The pace that a protocol asks for; of a probe, which ends after so many steps."""
    order = _Order(protocol, texts, seed)
    if probe_steps is not None:
        return ProbePace(protocol, order, probe_steps)
    if protocol.epochs != "auto":
        return FixedPace(protocol, order)
    return BudgetPace(protocol, order, validation_texts)


class _Order:
    """The texts of every epoch, in batches, the batches in steps."""

    def __init__(self, protocol: Protocol, texts: int, seed: int) -> None:
        self._protocol = protocol
        self._texts = texts
        self._seed = seed
        self.steps = epoch_steps(texts, protocol)
        """Of one epoch."""

    def epoch(self, number: int) -> list[list[np.ndarray]]:
        """The steps of a (1-based) epoch."""
        batches = training_batches(self._texts, self._protocol.batch_size, self._seed, number - 1)
        each = self._protocol.accumulate
        return [batches[i : i + each] for i in range(0, len(batches), each)]


class FixedPace(Pace):
    """A known number of epochs, each followed by a look at validation."""

    def __init__(self, protocol: Protocol, order: _Order) -> None:
        assert protocol.epochs != "auto"
        self._epochs = protocol.epochs
        self._order = order
        self.most_steps = order.steps * protocol.epochs
        self._schedule = Schedule(protocol, self.most_steps)
        self._stopped = False
        self._epoch = 1

    def stretches(self) -> Iterator[Stretch]:
        """Epoch after epoch."""
        for epoch in range(self._epoch, self._epochs + 1):
            self._epoch = epoch
            first = (epoch - 1) * self._order.steps
            groups = self._order.epoch(epoch)
            factors = [self._schedule.factor(first + i) for i in range(len(groups))]
            yield Stretch(epoch, groups, factors, ends_epoch=True, look=True)
            if self._stopped:
                return

    def looked(self, look: Look | None, seconds: float) -> None:
        """A plateau schedule listens."""
        self._schedule.epoch_ended(None if look is None else look.loss)

    def stop(self) -> None:
        """Early stopping."""
        self._stopped = True

    def notes(self) -> list[str]:
        """Warm-up that takes all steps."""
        return self._schedule.notes()

    def state(self) -> dict[str, typing.Any]:
        """The epoch, and what a plateau schedule has heard."""
        return {"epoch": self._epoch, "schedule": self._schedule.state()}

    def restore(self, state: dict[str, typing.Any]) -> None:
        """Begins with that epoch."""
        self._epoch = state["epoch"]
        self._schedule.restore(state["schedule"])


class ProbePace(Pace):
    """Warm-up over a tenth and a constant rate, with one look at validation at the end."""

    def __init__(self, protocol: Protocol, order: _Order, steps: int) -> None:
        self._order = order
        self.most_steps = steps
        self._warmup = math.ceil(protocol.schedule.warmup_share * steps)
        self._first = 0

    def stretches(self) -> Iterator[Stretch]:
        """A stretch for each epoch that is begun."""
        for first in range(self._first, self.most_steps, self._order.steps):
            self._first = first
            epoch = first // self._order.steps + 1
            groups = self._order.epoch(epoch)
            taken = groups[: self.most_steps - first]
            factors = [min(1.0, (first + i + 1) / max(1, self._warmup)) for i in range(len(taken))]
            yield Stretch(epoch, taken, factors, len(taken) == len(groups), look=first + len(taken) == self.most_steps)

    def state(self) -> dict[str, typing.Any]:
        """The first step of the epoch."""
        return {"first": self._first}

    def restore(self, state: dict[str, typing.Any]) -> None:
        """Begins there."""
        self._first = state["first"]


class BudgetPace(Pace):
    """Warm-up and a constant rate until validation stops improving, then a decay to zero from there.

    Validation improves where its score rises, or its loss falls by more than 1%, beyond the best so far. The way ends
    after `patience` looks without either, not before `min_steps`, and at a limit of the budget. The decay takes the
    schedule's share of all steps (Hägele et al. 2024, arXiv:2405.18392: as good as a cosine whose end was known).
    """

    def __init__(self, protocol: Protocol, order: _Order, validation_texts: int) -> None:
        self._budget = protocol.budget
        self._order = order
        self._decays = protocol.schedule_type == "stable"
        self._share = protocol.schedule.decay_share if self._decays else 0.0
        self._every = self._budget.validate_every or look_interval(protocol, order.steps, validation_texts)
        self._warmup = math.ceil(protocol.schedule.warmup_share * self._budget.min_steps)
        self.most_steps = order.steps * self._budget.max_epochs
        self.ended = "max_epochs"
        self._steps = self._begun = 0
        self._best: Look | None = None
        self._bad = 0
        self._stopped = False

    def stretches(self) -> Iterator[Stretch]:
        """The constant part, then the decay."""
        constant = max(1, self.most_steps - math.floor(self._share * self.most_steps))
        while self._falling is None and self._steps < constant and not self._stopped:
            yield self._next(constant, falls=False)
        if not self._decays or self.most_steps == constant:
            return
        self.steady = False
        if self._falling is None:
            falling = min(math.ceil(self._steps * self._share / (1 - self._share)), self.most_steps - constant)
            self._falling = (self._steps, falling)
        end, falls = sum(self._falling), self._steps == self._falling[0]
        while self._steps < end:
            yield self._next(end, falls)
            falls = False

    _falling: tuple[int, int] | None = None
    """The first step of the decay, and how many it takes."""

    def state(self) -> dict[str, typing.Any]:
        """The steps before the stretch, and what validation said so far."""
        best = None if self._best is None else [self._best.loss, self._best.score]
        falling = None if self._falling is None else list(self._falling)
        heard = {"best": best, "bad": self._bad, "stopped": self._stopped, "ended": self.ended, "steady": self.steady}
        return {"begun": self._begun, "falling": falling, **heard}

    def restore(self, state: dict[str, typing.Any]) -> None:
        """Begins with the stretch after these steps."""
        self._steps = self._begun = state["begun"]
        self._falling = None if state["falling"] is None else (state["falling"][0], state["falling"][1])
        self._best = None if state["best"] is None else Look(*state["best"])
        self._bad, self._stopped = state["bad"], state["stopped"]
        self.ended, self.steady = state["ended"], state["steady"]

    def _next(self, end: int, falls: bool) -> Stretch:
        self._begun = self._steps
        epoch, place = divmod(self._steps, self._order.steps)
        groups = self._order.epoch(epoch + 1)
        until_look = self._every - self._steps % self._every
        count = min(len(groups) - place, until_look, end - self._steps)
        factors = [self._factor(self._steps + i) for i in range(count)]
        self._steps += count
        return Stretch(
            epoch + 1,
            groups[place : place + count],
            factors,
            ends_epoch=place + count == len(groups),
            look=self._steps % self._every == 0 or self._steps == end,
            falls=falls,
        )

    def _factor(self, step: int) -> float:
        if self._falling is not None:
            first, count = self._falling
            return 1.0 - (step - first) / count
        return min(1.0, (step + 1) / max(1, self._warmup))

    def looked(self, look: Look | None, seconds: float) -> None:
        """Counts looks without improvement; without validation the limits alone end the way."""
        if not self.steady:
            return
        if self._budget.seconds is not None and seconds >= (1 - self._share) * self._budget.seconds:
            self.ended, self._stopped = "seconds", True
        if look is None:
            return
        best = self._best
        if best is None or look.score > best.score or look.loss < best.loss * (1 - SMALLEST_GAIN):
            self._best = look if best is None else Look(min(look.loss, best.loss), max(look.score, best.score))
            self._bad = 0
            return
        self._bad += 1
        if self._bad >= self._budget.patience and self._steps >= self._budget.min_steps and not self._stopped:
            self.ended, self._stopped = "plateau", True


def look_interval(protocol: Protocol, epoch: int, validation_texts: int) -> int:
    """Steps between looks at validation, for epochs of so many steps, where the study does not say.

    About an epoch of steps, at most 200 or a fifth of an epoch; as many that validation, forward alone, takes about a
    tenth of the time or less.
    """
    texts = protocol.batch_size * protocol.accumulate
    cheap = math.ceil(3 * validation_texts / texts)
    return max(cheap, min(max(epoch, FEWEST_STEPS), max(MOST_STEPS, math.ceil(epoch / LOOKS))))
