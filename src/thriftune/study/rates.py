"""`learning_rate: auto`: short trainings at a few rates tell which one to train with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from thriftune.engine.protocol import Protocol
from thriftune.study.tries import Tries

SHARE = 3
"""A probe takes a third of the steps that a training takes at least."""
MOST_STEPS = 100


def probe_steps(protocol: Protocol, texts: int) -> int:
    """Steps of a probe: a third of the budget's floor, or of a fixed number of epochs; 100 at most, one at least."""
    from thriftune.engine.schedule import optimizer_steps

    floor = optimizer_steps(texts, protocol)
    if protocol.epochs == "auto":
        floor = min(floor, protocol.budget.min_steps)
    return max(1, min(MOST_STEPS, math.ceil(floor / SHARE)))


def probed_rate(tries: Tries, rates: Sequence[float]) -> float:
    """The rate with the lowest validation loss after its probe; raises `DivergedError` where every one diverged."""
    steps = probe_steps(tries.job.planned.protocol, tries.train_texts)
    losses = {}
    for rate in rates:
        made = tries.candidate(rate, steps)
        if made is not None and made.rate is None:
            return rate  # the head is solved: no rate matters
        if made is not None and made.fit.validation is not None:
            losses[rate] = made.fit.validation.loss
        del made
    if not losses:
        raise tries.all_diverged()
    return min(losses, key=lambda rate: losses[rate])
