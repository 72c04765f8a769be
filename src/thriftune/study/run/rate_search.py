"""The search for a learning rate: the best of several trainings, or of short ones (`learning_rate: auto`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thriftune.engine.hooks import DivergedError
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.results.training import SearchPoint
from thriftune.study.run.training import Trained, Trainer

if TYPE_CHECKING:
    import numpy as np

    from thriftune.engine.resume.state import State
    from thriftune.engine.train import Fit

SHARE = 3
"""A probe takes a third of the steps that a training takes at least."""
MOST_STEPS = 100
CLOSE = 1.1
"""A loss up to so many times the lowest is no worse: a probe is short, and a slower rate looks good early on."""


def train(trainer: Trainer) -> tuple[Trained, list[SearchPoint]]:
    """The training with the run's learning rate, or with the best on validation of those that its method names.

    `learning_rate: auto` tries its rates in short trainings, and trains the best one from the start. The candidates
    come too. Raises `DivergedError` where the only rate, or every one, diverges.
    """
    method, search = trainer.method, _Search(trainer)
    if method.probes:
        return search.probed(method.RATE_GRID), search.points
    if len(method.learning_rates) == 1:
        return trainer.train(method.learning_rates[0]), []
    return search.best_of(method.learning_rates), search.points


def probe_steps(protocol: Protocol, texts: int) -> int:
    """Steps of a probe: a third of the budget's floor, or of a fixed number of epochs; 100 at most, one at least."""
    from thriftune.engine.schedule import optimizer_steps

    floor = optimizer_steps(texts, protocol)
    if protocol.epochs == "auto":
        floor = min(floor, protocol.budget.min_steps)
    return max(1, min(MOST_STEPS, math.ceil(floor / SHARE)))


def highest_good(losses: dict[float, float]) -> float:
    """The highest rate whose loss is at most `CLOSE` times the lowest."""
    return max(rate for rate, loss in losses.items() if loss <= CLOSE * min(losses.values()))


@dataclass(frozen=True)
class _Best:
    """The best candidate so far."""

    value: float
    rate: float
    fit: Fit
    dynamics: np.ndarray
    seconds: float


class _Search:
    """Candidates, one after the other; where a solved head is all there is to train, no rate matters."""

    def __init__(self, trainer: Trainer) -> None:
        self.points: list[SearchPoint] = []
        self._trainer = trainer
        self._tried: list[float] = []
        self._losses: dict[float, float] = {}
        self._best: _Best | None = None
        checkpoints = trainer.checkpoints
        if checkpoints is not None:
            if (state := checkpoints.take("search")) is not None:
                self._restore(state)
            checkpoints.provide("search", self._state)

    def probed(self, rates: Sequence[float]) -> Trained:
        """Trains with the highest rate whose validation loss after its probe is close to the lowest."""
        steps = probe_steps(self._trainer.job.planned.protocol, self._trainer.train_texts)
        for rate in rates:
            if rate in self._tried:
                continue
            made = self._candidate(rate, steps)
            if made is not None and made.learning_rate is None:
                return made
            if made is not None and made.fit.validation is not None:
                self._losses[rate] = made.fit.validation.loss
            self._tried.append(rate)
            del made
        if not self._losses:
            raise self._all_diverged()
        return self._trainer.train(highest_good(self._losses))

    def best_of(self, rates: Sequence[float]) -> Trained:
        """The training with the best validation score."""
        from thriftune.engine.checkpoint import load_trained, save_trained
        from thriftune.engine.predict import score_of

        kept = self._trainer.job.out / "best.safetensors"
        if self._trainer.checkpoints is not None:
            self._trainer.checkpoints.keep(kept)
        made: Trained | None = None
        for rate in rates:
            if rate in self._tried:
                continue
            made = None  # its weights are gone before the next are loaded
            made = self._candidate(rate)
            if made is not None and made.learning_rate is None:
                return made
            if made is not None and made.fit.validation is not None:
                value = score_of(made.fit.validation, self._trainer.job.planned.protocol.select)
                if self._best is None or value > self._best.value:
                    self._best = _Best(value, rate, made.fit, made.dynamics, made.seconds)
                    save_trained(made.classifier, kept)
            self._tried.append(rate)
        best = self._best
        if best is None:
            raise self._all_diverged()
        classifier, examples = self._trainer.loaded() if made is None else (made.classifier, made.examples)
        load_trained(classifier, kept)
        kept.unlink()
        if (watcher := self._trainer.method.watch(classifier)) is not None:
            watcher.finished()
        return Trained(best.rate, classifier, examples, best.fit, best.dynamics, best.seconds)

    def _state(self) -> State:
        """The candidates that are over; the weights of the best lie in a file of their own."""
        from thriftune.engine.resume.fits import fit_state

        best = None if self._best is None else {**vars(self._best), "fit": fit_state(self._best.fit)}
        losses = [[rate, loss] for rate, loss in self._losses.items()]
        points = [vars(point) for point in self.points]
        return {"tried": list(self._tried), "losses": losses, "points": points, "best": best}

    def _restore(self, state: State) -> None:
        from thriftune.engine.resume.fits import fit_from

        self._tried, self._losses = list(state["tried"]), dict(state["losses"])
        self.points = [SearchPoint(**point) for point in state["points"]]
        best = state["best"]
        self._best = None if best is None else _Best(**{**best, "fit": fit_from(best["fit"])})

    def _candidate(self, rate: float, steps: int | None = None) -> Trained | None:
        """A training that is part of the search; None, with a note, where it diverged."""
        trainer, notes = self._trainer, self._trainer.notes
        try:
            made = trainer.train(rate, steps, tried=True)
        except DivergedError as error:
            notes.append(f"Learning rate {rate:g} diverged: {error}")
            return None
        if made.learning_rate is None:
            return made
        found, epochs = made.fit.validation, made.fit.epochs
        if found is None:
            raise InputError(f"{trainer.job.planned.name}: a search over learning rates needs a validation split.")
        if not math.isfinite(found.loss):
            notes.append(f"Learning rate {rate:g} diverged: its validation loss is {found.loss}.")
            return None
        seconds = sum(point.train_seconds for point in epochs)
        self.points.append(SearchPoint(rate, found.accuracy, found.loss, seconds, epochs[-1].step))
        return made

    def _all_diverged(self) -> Exception:
        """What ends a search that found nothing."""
        return DivergedError(f"every learning rate diverged: {' '.join(self._trainer.notes)}")
