"""`learning_rate: auto`: short trainings at a few rates tell which one to train with."""

from __future__ import annotations

import math
from collections.abc import Sequence

from thriftune.engine.protocol import Protocol
from thriftune.study.run.tries import Tries

SHARE = 3
"""A probe takes a third of the steps that a training takes at least."""
MOST_STEPS = 100
CLOSE = 1.1
"""A loss up to so many times the lowest is no worse: a probe is short, and a slower rate looks good early on."""


def probe_steps(protocol: Protocol, texts: int) -> int:
    """Steps of a probe: a third of the budget's floor, or of a fixed number of epochs; 100 at most, one at least."""
    from thriftune.engine.schedule import optimizer_steps

    floor = optimizer_steps(texts, protocol)
    if protocol.epochs == "auto":
        floor = min(floor, protocol.budget.min_steps)
    return max(1, min(MOST_STEPS, math.ceil(floor / SHARE)))


def probed_rate(tries: Tries, rates: Sequence[float]) -> float:
    """The highest rate whose validation loss after its probe is close to the lowest.

    Raises `DivergedError` where every one diverged.
    """
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
    return highest_good(losses)


def highest_good(losses: dict[float, float]) -> float:
    """The highest rate whose loss is at most `CLOSE` times the lowest."""
    return max(rate for rate, loss in losses.items() if loss <= CLOSE * min(losses.values()))
