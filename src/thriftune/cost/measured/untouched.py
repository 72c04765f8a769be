"""Steps that leave no trace: what a probe changes is put back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thriftune.engine.step import Step


@contextmanager
def untouched(step: Step) -> Iterator[None]:
    """Restores weights, optimiser state (none yet) and random numbers when the block ends, however it ends.

    The weights wait in the CPU's memory, so that a GPU holds no more than in training.
    """
    device = step.classifier.device
    before = [p.detach().to("cpu", copy=True) for p in step.parameters]
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, value in zip(step.parameters, before, strict=True):
                    parameter.copy_(value)
            step.optimizer.state.clear()
            step.optimizer.zero_grad(set_to_none=True)
