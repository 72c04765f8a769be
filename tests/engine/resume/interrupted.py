"""Trainings that break off at a step and are taken up again, for the tests of checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder

from thriftune.engine.hooks import Dynamics, Hook, Progress
from thriftune.engine.protocol import Protocol
from thriftune.engine.resume.open import open_checkpoints
from thriftune.engine.resume.saver import Checkpoints
from thriftune.engine.train import Fit, Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier

TEXTS = 44
"""With batches of 8 an epoch has 6 steps, the last one of 4 texts."""


class BreaksOff(Hook):
    """Ends a training as a kill does, after a step of it."""

    def __init__(self, step: int | None) -> None:
        self.step = step

    def stepped(self, progress: Progress) -> None:
        if progress.step == self.step:
            raise KeyboardInterrupt


def checkpoints_in(folder: Path, protocol: Protocol, run_id: str = "run", told: list[str] | None = None) -> Checkpoints:
    """Those of a training in a folder; none becomes due by itself."""
    made = open_checkpoints(folder / "checkpoint", run_id, protocol, {}, "cpu", ([] if told is None else told).append)
    assert made is not None
    return made


def trained(
    folder: Path,
    method: str,
    settings: dict[str, Any],
    protocol: Protocol,
    *,
    written_at: list[int] | None = None,
    ends_at: int | None = None,
    checkpoints: Checkpoints | None = None,
    rate: float = 1e-2,
) -> tuple[Classifier, Fit, np.ndarray]:
    """A training from the pretrained weights, or from where the checkpoints left it; writes one after some steps."""
    model = load_classifier(model_folder("bert"), LABELS, seed=3)
    chosen = find(method)(**settings)
    chosen.apply(model, torch.Generator().manual_seed(0))
    if checkpoints is not None:
        saver, steps = checkpoints, written_at or []
        saver.due = lambda: saver.reached.steps in steps  # type: ignore[method-assign]
    task = Task(
        model,
        examples(model, TEXTS),
        examples(model, 24, seed=9),
        protocol,
        rate,
        5,
        folder / "epoch.safetensors",
        watcher=chosen.watch(model),
        checkpoints=checkpoints,
    )
    dynamics = Dynamics()
    try:
        return model, fit(task, [dynamics, BreaksOff(ends_at)]), dynamics.true_probability
    finally:
        if checkpoints is not None:
            checkpoints.close()


def check_same(one: tuple[Classifier, Fit, np.ndarray], other: tuple[Classifier, Fit, np.ndarray]) -> None:
    """Every number of two trainings but their seconds, bit for bit."""
    (first, fit_one, dynamics_one), (second, fit_other, dynamics_other) = one, other
    for (name, mine), (_, its) in zip(first.root.named_parameters(), second.root.named_parameters(), strict=True):
        assert torch.equal(mine, its), name
    assert fit_one.steps == fit_other.steps
    untimed = [[replace(point, train_seconds=0.0) for point in fitted.epochs] for fitted in (fit_one, fit_other)]
    assert untimed[0] == untimed[1]
    assert fit_one.validation == fit_other.validation
    if fit_one.validation is not None and fit_other.validation is not None:
        assert np.array_equal(fit_one.validation.logits, fit_other.validation.logits)
    same = ("best_epoch", "texts", "notes", "ended", "gain", "noise")
    assert [getattr(fit_one, name) for name in same] == [getattr(fit_other, name) for name in same]
    assert np.array_equal(dynamics_one, dynamics_other)
