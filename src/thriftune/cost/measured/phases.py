"""What a training step's seconds go to, and how much of them is the method's own work: measured by a probe."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn

from thriftune.cost.measured.untouched import untouched
from thriftune.engine.forward import batch_of
from thriftune.engine.step import Step
from thriftune.models.classifier import Classifier
from thriftune.models.device import synchronize
from thriftune.results.cost import PassSeconds, StepSeconds

ROUNDS = (2, 9)
"""The fewest and the most times that each thing is timed."""
ENOUGH_SECONDS = 3.0
"""After so long no further round starts, once there are the fewest."""
SHARE, LITTLE_SECONDS = 0.05, 0.3
"""Nor after so much of the steps that training will take, so that a short one is not probed for as long as it takes;
but so many seconds are always had."""


def probe_seconds(
    step: Step, batches: list[np.ndarray], steps: int | None = None
) -> tuple[StepSeconds, PassSeconds | None]:
    """The seconds that a step on `batches` takes, by phase and by how far gradients go: the least of some rounds.

    `steps`: how many training will take, for as many rounds as that is worth.

    The least is what the work takes where nothing else disturbs it. The rounds interleave what is compared; a step on
    one text warms up. Weights, optimiser state and random numbers are restored. The passes are None where the method
    changes the input (prompt learning), so that there is no forward without it.
    """
    depth = _depth(step.classifier)
    rounds: list[dict[str, float]] = []
    enough = ENOUGH_SECONDS
    with untouched(step):
        _phases(step, [batches[0][:1]])
        started = time.perf_counter()
        while len(rounds) < ROUNDS[0] or (len(rounds) < ROUNDS[1] and time.perf_counter() - started < enough):
            found = _phases(step, batches)
            if steps is not None:
                one = found["forward"] + found["backward"] + found["optimizer"]
                enough = min(ENOUGH_SECONDS, max(LITTLE_SECONDS, SHARE * steps * one))
            if depth:
                found |= _passes(step, batches, depth)
            rounds.append(found)
    least = {name: min(found[name] for found in rounds) for name in rounds[0]}
    data = least["data"]
    phases = StepSeconds(data, least["forward"] - data, least["backward"], least["optimizer"])
    if depth is None:
        return phases, None
    if not depth:
        return phases, PassSeconds(phases.forward + phases.backward, 0.0, 0.0)
    head, reach = least["head"] - data, least["reach"]
    return phases, PassSeconds(head, reach, phases.forward + phases.backward - head - reach)


def _phases(step: Step, batches: list[np.ndarray]) -> dict[str, float]:
    """One whole step. Making a batch is timed alone, and is part of `forward` once more."""
    texts = sum(len(batch) for batch in batches)
    found = dict.fromkeys(StepSeconds.__annotations__, 0.0)
    for indices in batches:
        found["data"] += _timed(step, partial(batch_of, step.classifier, step.examples, indices, step.protocol))[0]
        forward, (_, losses) = _timed(step, partial(step.forward, indices))
        found["forward"] += forward
        found["backward"] += _timed(step, (losses.sum() / texts).backward)[0]
    found["optimizer"], _ = _timed(step, partial(step.update, 0.0))
    return found


def _passes(step: Step, batches: list[np.ndarray], depth: list[nn.Parameter]) -> dict[str, float]:
    """A step's passes without the method, making the batches included: gradients go to the head and to `depth` alone.

    The head's backward runs once by itself and once more in the whole one, of which it is subtracted.
    """
    found = {"head": 0.0, "reach": 0.0}
    head = [p for module in step.classifier.head_modules for p in module.parameters()]
    with _without_method(step.classifier, depth):
        for indices in batches:
            forward, (_, losses) = _timed(step, partial(step.forward, indices))
            loss = losses.sum()
            above = 0.0
            if trained := [p for p in head if p.requires_grad]:
                above, _ = _timed(
                    step, partial(torch.autograd.grad, loss, trained, retain_graph=True, allow_unused=True)
                )
            found["head"] += forward + above
            found["reach"] += _timed(step, loss.backward)[0] - above
        for parameter in step.classifier.root.parameters():
            parameter.grad = None
    return found


def _timed(step: Step, work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds that the work takes, the device's included, and what it returns."""
    synchronize(step.classifier.device)
    started = time.perf_counter()
    result = work()
    synchronize(step.classifier.device)
    return time.perf_counter() - started, result


def _depth(classifier: Classifier) -> list[nn.Parameter] | None:
    """A parameter whose gradient costs next to nothing, where the lowest trained one is: it pulls gradients there.

    Empty where only the head is trained; None where the method changes the input. A tuner's own weights do not
    count: they are off when it is used.
    """
    cut = classifier.cut
    if classifier.input_tuner:
        return None
    if cut == len(classifier.layers):
        return []
    if cut is not None:
        part: nn.Module = classifier.layers[cut]
    else:
        children = [child for child in classifier.encoder.children() if any(True for _ in child.parameters())]
        part = children[0]
    added = {id(p) for module in _tuner_layers(part) for p in module.parameters()}
    added -= {id(p) for module in _tuner_layers(part) for p in module.get_base_layer().parameters()}
    return [min((p for p in part.parameters() if id(p) not in added), key=lambda p: p.numel())]


def _tuner_layers(part: nn.Module) -> list[Any]:
    return [module for module in part.modules() if isinstance(module, BaseTunerLayer)]


@contextmanager
def _without_method(classifier: Classifier, depth: list[nn.Parameter]) -> Iterator[None]:
    """Adapters off, everything frozen but the head and `depth`."""
    head = {id(p) for module in classifier.head_modules for p in module.parameters()}
    before = [(p, p.requires_grad) for p in classifier.root.parameters()]
    tuners = _tuner_layers(classifier.root)
    try:
        for tuner in tuners:
            tuner.enable_adapters(False)
        for parameter, trained in before:
            parameter.requires_grad_(trained and id(parameter) in head)
        for parameter in depth:
            parameter.requires_grad_(True)
        yield
    finally:
        for tuner in tuners:
            tuner.enable_adapters(True)
        for parameter, trained in before:
            parameter.requires_grad_(trained)
