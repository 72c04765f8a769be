"""The search for a learning rate: the best of several trainings, or of short ones (`learning_rate: auto`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from thriftune.engine.hooks import DivergedError
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.results.training import SearchPoint
from thriftune.study.run.training import Trained, Trainer

if TYPE_CHECKING:
    import numpy as np

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


class _Search:
    """Candidates, one after the other; where a solved head is all there is to train, no rate matters."""

    def __init__(self, trainer: Trainer) -> None:
        self.points: list[SearchPoint] = []
        self._trainer = trainer

    def probed(self, rates: Sequence[float]) -> Trained:
        """Trains with the highest rate whose validation loss after its probe is close to the lowest."""
        steps = probe_steps(self._trainer.job.planned.protocol, self._trainer.train_texts)
        losses = {}
        for rate in rates:
            made = self._candidate(rate, steps)
            if made is not None and made.learning_rate is None:
                return made
            if made is not None and made.fit.validation is not None:
                losses[rate] = made.fit.validation.loss
            del made
        if not losses:
            raise self._all_diverged()
        return self._trainer.train(highest_good(losses))

    def best_of(self, rates: Sequence[float]) -> Trained:
        """The training with the best validation score."""
        from thriftune.engine.checkpoint import load_trained, save_trained
        from thriftune.engine.predict import score_of

        kept = self._trainer.job.out / "best.safetensors"
        best: tuple[float, float, Fit, np.ndarray, float] | None = None
        made: Trained | None = None
        for rate in rates:
            made = None  # its weights are gone before the next are loaded
            made = self._candidate(rate)
            if made is not None and made.learning_rate is None:
                return made
            if made is None or made.fit.validation is None:
                continue
            value = score_of(made.fit.validation, self._trainer.job.planned.protocol.select)
            if best is None or value > best[0]:
                best = value, rate, made.fit, made.dynamics, made.seconds
                save_trained(made.classifier, kept)
        if best is None:
            raise self._all_diverged()
        classifier, examples = self._trainer.loaded() if made is None else (made.classifier, made.examples)
        load_trained(classifier, kept)
        kept.unlink()
        if (watcher := self._trainer.method.watch(classifier)) is not None:
            watcher.finished()
        return Trained(best[1], classifier, examples, *best[2:])

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
