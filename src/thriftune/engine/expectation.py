"""How many steps a training is expected to take; with `epochs: auto` that is a guess, since validation decides."""

from __future__ import annotations

import math

from thriftune.engine.protocol import Protocol
from thriftune.engine.schedule import epoch_steps

SMALL_SET, SMALL_SET_EPOCHS = 1_000, 14.0
"""Texts, and passes over them until validation no longer improves, patience included: a guess."""
FALL = 0.37
"""The passes fall with the number of texts to this power: 6 of 10,000 texts, 2.5 of 100,000; a guess."""


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
