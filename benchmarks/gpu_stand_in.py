"""The GPU's code on a CPU, for the GPU benchmark's smoke test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from thriftune.engine.gpu import graphs
from thriftune.models.device import pretend


class Again:
    """In place of CUDA graphs where there is no GPU: a recording is the work itself."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def run(self, work: Callable[[], None]) -> None:
        """Runs it."""
        work()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Hands it back."""
        return work


@contextmanager
def surroundings(smoke: bool) -> Iterator[None]:
    """The GPU's code on a CPU, for a smoke test."""
    if not smoke:
        yield
        return
    before, graphs.CudaGraphs = graphs.CudaGraphs, Again  # type: ignore[assignment, misc]
    try:
        with pretend("cuda"):
            yield
    finally:
        graphs.CudaGraphs = before  # type: ignore[misc]
