"""Whether a run's schedule leaves anything to train, which is known once the training texts are counted."""

from __future__ import annotations

from collections.abc import Iterable

from thriftune.engine.schedule import Schedule, optimizer_steps
from thriftune.errors import InputError
from thriftune.study.file.plan import PlannedRun


def check_steps(runs: Iterable[PlannedRun], texts: int) -> None:
    """Raises `InputError` where no step of a run on so many training texts has a learning rate above 0."""
    idle: dict[int, list[str]] = {}
    for run in runs:
        if not run.method.BASELINE:
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
