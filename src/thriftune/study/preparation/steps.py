"""Whether a run's steps suit the number of its training texts, which is known once these are counted."""

from __future__ import annotations

import math
from collections.abc import Iterable

from thriftune.engine.schedule import Schedule, optimizer_steps
from thriftune.errors import InputError
from thriftune.study.file.plan import PlannedRun


def check_steps(runs: Iterable[PlannedRun], texts: int) -> None:
    """Raises `InputError` where a step accumulates more batches than so many training texts make, and where no step
    of a run has a learning rate above 0."""
    idle: dict[int, list[str]] = {}
    for run in runs:
        if run.method.BASELINE:
            continue
        size, asked = run.protocol.batch_size, run.protocol.accumulate
        batches = math.ceil(texts / size)
        if asked > batches:
            raise InputError(
                f"{run.name}: protocol.accumulate is {asked:,}, but an epoch has {batches:,} batches ({texts:,} "
                f"training texts, batch_size {size:,}). Set it to {batches:,} or less, or lower batch_size."
            )
        steps = optimizer_steps(texts, run.protocol)
        if Schedule(run.protocol, steps).idle:
            idle.setdefault(steps, []).append(run.name)
    if idle:
        raise InputError(
            "\n".join(
                f"{', '.join(names)}: {texts:,} training texts make {steps} optimiser step{'s' * (steps != 1)}, and "
                "warm-up holds the learning rate at 0 in all of them. Set protocol.schedule.warmup to 0, or train for "
                "more steps (more epochs or texts, smaller batches)."
                for steps, names in idle.items()
            )
        )
