"""What a study says of its length when it begins: by published times, and where this machine was timed before."""

from __future__ import annotations

from collections.abc import Sequence

from thriftune.study.events import Expected
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun
from thriftune.study.forecast.duration import about
from thriftune.study.forecast.predictor import Predictor
from thriftune.study.run.job import Job

MOST_RUNS = 30
"""Of more runs nothing is said: predicting them all at once would keep the first one waiting."""


def expected_time(study: Study, runs: list[PlannedRun]) -> Expected | None:
    """What the published training times of the runs add up to; None where none of them has one."""
    by_model: dict[str, float] = {}
    devices: list[str] = []
    count = 0
    for run in runs:
        numbers = study.published.get(run.name) or study.published.get(run.cell) or {}
        seconds = numbers.get("train_seconds")
        if seconds is None:
            continue
        count += 1
        by_model[run.model or run.name] = by_model.get(run.model or run.name, 0.0) + float(seconds)
        devices.append(str(numbers.get("device") or ""))
    device = devices[0] if devices and len(set(devices)) == 1 and devices[0] else None
    return Expected(by_model, count, len(runs) - count, device) if count else None


def outlook_of(jobs: Sequence[Job], predictor: Predictor) -> str | None:
    """How long the training of the runs to be made should take; None where that is not known of all that train."""
    tuned = [job for job in jobs if job.model is not None and not job.planned.method.BASELINE]
    if not 0 < len(tuned) <= MOST_RUNS:
        return None
    seconds: list[float] = []
    for job in tuned:
        found = predictor.seconds(job)
        if found is None:
            return None
        seconds.append(found)
    longest = max(range(len(tuned)), key=lambda index: seconds[index])
    text = f"Expected: about {about(sum(seconds))} of training on this machine"
    if len(tuned) > 1:
        text += f", {about(seconds[longest])} of it {tuned[longest].planned.name}"
    if any(job.planned.protocol.epochs == "auto" for job in tuned):
        text += "; validation decides when a training ends, so it may be half or twice that"
    return f"{text}."
