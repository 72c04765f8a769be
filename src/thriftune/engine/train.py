"""Trains a classifier: prepares the loop, runs it, and says what came out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from thriftune.engine.allocator import keep_freed_memory
from thriftune.engine.forward import row_dtype
from thriftune.engine.frozen.words import used_words
from thriftune.engine.gpu.precision import use_precision
from thriftune.engine.hooks import Hook
from thriftune.engine.loop import Loop, Task
from thriftune.engine.pace import Ended, pace_of
from thriftune.engine.parallel.step import fitted, step_of
from thriftune.engine.predict import QuickScores
from thriftune.engine.step import build_optimizer
from thriftune.models.residence import round_frozen
from thriftune.results.history import EpochPoint, StepPoint

__all__ = ["Fit", "Task", "fit"]


@dataclass(frozen=True)
class Fit:
    """What training produced; the kept weights are in the classifier."""

    steps: list[StepPoint]
    epochs: list[EpochPoint]
    """A point for every look at validation."""
    best_epoch: int | float
    """Epochs done when the weights that were kept were looked at."""
    validation: QuickScores | None
    """Of the kept weights."""
    texts: int
    """Texts seen, over all epochs."""
    notes: list[str]
    """What the user should know about how it was trained."""
    ended: Ended
    """Why training ended."""
    gain: float | None
    """Validation accuracy gained over the last epoch at the full learning rate; None where that is not known."""
    noise: float | None
    """2 sqrt(d / n): n validation texts, of which the share d changed their answer in it."""


def fit(task: Task, hooks: Sequence[Hook] = ()) -> Fit:
    """Trains a classifier in place and leaves the kept weights in it.

    Deterministic per seed on one machine and thread count. Raises `DivergedError` when the loss stops being
    finite, and `torch.OutOfMemoryError` on a GPU that is too small; the classifier then holds the weights of the last
    step.
    """
    keep_freed_memory()
    use_precision(task.protocol)
    torch.manual_seed(task.seed)
    if row_dtype(task.classifier, task.protocol) is not None:
        round_frozen(task.classifier)
    with used_words(task, hooks) as (narrowed, watching):
        found = _fit(narrowed, watching)
    fitted()
    return found


def _fit(task: Task, hooks: Sequence[Hook]) -> Fit:
    protocol, rate = task.protocol, task.learning_rate
    optimizer = build_optimizer(task.classifier, protocol.optimizer, rate, (task.head_learning_rate or rate) / rate)
    validation_texts = 0 if task.validation is None else len(task.validation)
    pace = pace_of(protocol, len(task.train), validation_texts, task.seed, task.probe_steps)
    step, sharing = step_of(task, optimizer, pace.most_steps)
    loop = Loop(task, [*hooks, *sharing], step, pace)
    try:
        loop.train()
    finally:
        task.checkpoint.unlink(missing_ok=True)
        if task.checkpoints is not None:
            task.checkpoints.drop("training")  # which refers to the model
    gain, noise = loop.gain()
    return Fit(
        steps=loop.step_points,
        epochs=loop.epoch_points,
        best_epoch=loop.best_epoch,
        validation=loop.kept,
        texts=loop.texts,
        notes=[*loop.steps.notes(), *pace.notes()],
        ended=pace.ended,
        gain=gain,
        noise=noise,
    )
