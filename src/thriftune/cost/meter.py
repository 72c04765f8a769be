"""The hook that measures a training: seconds, peak memory, energy."""

from __future__ import annotations

from typing import Any

import torch

from thriftune.cost.memory import probe
from thriftune.engine.batches import widest_batch
from thriftune.engine.step import Step
from thriftune.engine.train import Hook
from thriftune.results.record import Memory


class CostMeter(Hook):
    """Adds up what the loop reports; one meter may watch several trainings (a learning-rate search).

    CPU: memory comes from a probe before the first step. CUDA: from the allocator, during training steps only.
    """

    def __init__(self, lengths: Any, seed: int) -> None:
        self._lengths = lengths
        self._seed = seed
        self.train_seconds = 0.0
        self.evaluate_seconds = 0.0
        self.peak_memory_bytes = 0
        self.peak_reserved_bytes: int | None = None
        self.memory: Memory | None = None
        self.energy_joules: float | None = None
        self._device = torch.device("cpu")
        self._energy_start: float | None = None

    def train_started(self, step: Step) -> None:
        """Probes memory on a CPU."""
        self._device = step.classifier.device
        if self._device.type == "cpu":
            widest = widest_batch(self._lengths, step.protocol, self._seed)
            peak, memory = probe(step, [widest] * step.protocol.accumulate)
            if peak > self.peak_memory_bytes:
                self.peak_memory_bytes, self.memory = peak, memory

    def epoch_started(self) -> None:
        """Resets the allocator's peak, so that evaluation does not count."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._energy_start = _energy(self._device)

    def epoch_trained(self, seconds: float) -> None:
        """Adds the epoch's steps."""
        self.train_seconds += seconds
        if self._device.type != "cuda":
            return
        self.peak_memory_bytes = max(self.peak_memory_bytes, torch.cuda.max_memory_allocated(self._device))
        reserved = torch.cuda.max_memory_reserved(self._device)
        self.peak_reserved_bytes = max(self.peak_reserved_bytes or 0, reserved)
        now = _energy(self._device)
        if now is not None and self._energy_start is not None:
            self.energy_joules = (self.energy_joules or 0.0) + now - self._energy_start

    def evaluated(self, seconds: float) -> None:
        """Adds an evaluation."""
        self.evaluate_seconds += seconds


def _energy(device: torch.device) -> float | None:
    """Joules that the GPU has used since its driver was loaded; None where it does not say."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        return float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1000
    except pynvml.NVMLError:
        return None
