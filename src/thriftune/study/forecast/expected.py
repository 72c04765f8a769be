"""How long a study's training is expected to take, from the times that were published for its runs."""

from __future__ import annotations

from thriftune.study.events import Expected
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun


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
