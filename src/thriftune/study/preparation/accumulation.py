"""What a protocol asks of a training set: steps of more batches than an epoch has are not what they are called."""

from __future__ import annotations

import math
from collections.abc import Iterable

from thriftune.errors import InputError
from thriftune.study.file.plan import PlannedRun


def check_accumulation(runs: Iterable[PlannedRun], texts: int) -> None:
    """Raises `InputError` where a step accumulates more batches than `texts` training texts make."""
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
