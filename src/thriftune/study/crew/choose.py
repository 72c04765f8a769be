"""Which crew makes the runs of a study."""

from __future__ import annotations

from typing import Any

from thriftune.study.crew.base import Crew
from thriftune.study.crew.places import checked, places
from thriftune.study.crew.serial import Serial
from thriftune.study.crew.workers import Workers


def crew_of(workers: object, run: Any, isolate: bool = True) -> Crew:
    """A crew that makes so many runs at once: a number, or "auto"; without `isolate` one after the other.

    `run` makes a run, as `run_in_process` does. Raises `InputError` where `workers` is no count.
    """
    count = checked(workers)
    if count == 1 or not isolate:
        return Serial(run)
    found = places(count)
    return Workers(run, found) if len(found) > 1 else Serial(run)
