"""Whether a run had the processors to itself: its time says little where it had not."""

from __future__ import annotations

import os
from dataclasses import replace

from thriftune.processors import BUSY, load_average
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord

ENOUGH = 0.7
"""Of its threads' time on processors: a run that got less may have been held up."""
NOTICED = 0.1
"""Of the time that its threads wanted: waiting for others beyond this is no accident."""
FEWEST_SECONDS = 1.0
"""Of training: what happens in less says nothing."""
NOT_COUNTED = "the system does not count how long threads wait for a processor"


def busy_notes(cost: Cost, threads: int) -> list[str]:
    """A note where other work took a good part of the processors from the training steps.

    A small model keeps no processor busy even on a quiet machine; so little use alone is no sign, and the threads must
    have waited for a processor too (or, where the system does not count that, more must want to run than there are).
    """
    used, waited, seconds = cost.train_cpu_seconds, cost.train_waited_seconds, cost.train_seconds
    if used is None or seconds < FEWEST_SECONDS or used >= ENOUGH * seconds * threads:
        return []
    load = load_average()
    held_up = load is not None and load > 1.2 * (os.cpu_count() or 1)
    if waited is not None:
        held_up = waited > NOTICED * (used + waited)
    if not held_up:
        return []
    return [
        f"{BUSY}: the training steps got {used / seconds:.1f} processors for {threads} "
        f"{'thread' if threads == 1 else 'threads'}. The run's seconds say little; measure again on a quiet machine."
    ]


def with_load(record: RunRecord, load: float | None) -> RunRecord:
    """The record with the machine's load average of when the run began."""
    if record.cost is None:
        return record
    reasons = record.cost.reasons | ({} if load is not None else {"load_at_start": "the system does not say"})
    return replace(record, cost=replace(record.cost, load_at_start=load, reasons=reasons))
