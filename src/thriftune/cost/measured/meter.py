"""The hook that measures a training: seconds, peak memory, energy."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch

from thriftune.cost.measured.memory import probe
from thriftune.cost.measured.phases import probe_seconds
from thriftune.engine.batches import typical_batch, widest_batch
from thriftune.engine.hooks import Hook
from thriftune.engine.schedule import expected_steps
from thriftune.engine.step import Step
from thriftune.processors import ProcessorTime
from thriftune.results.cost import Memory, PassSeconds, StepSeconds


class CostMeter(Hook):
    """Adds up what the loop reports; one meter may watch several trainings (a learning-rate search).

    What memory and a step's seconds go to comes from probes before the first step. The peak is the memory probe's
    on a CPU, and the allocator's during training steps on CUDA.
    """

    def __init__(self, lengths: Any, seed: int) -> None:
        self._lengths = lengths
        self._seed = seed
        self.train_seconds = 0.0
        self.evaluate_seconds = 0.0
        self.peak_memory_bytes = 0
        self.peak_reserved_bytes: int | None = None
        self.step_seconds: StepSeconds | None = None
        self.pass_seconds: PassSeconds | None = None
        self._probed: tuple[int, Memory] | None = None
        self.energy_joules: float | None = None
        self._device = torch.device("cpu")
        self._energy_start: float | None = None
        self.processors = ProcessorTime(0.0, 0.0)
        """During train_seconds."""
        self._processors_start = ProcessorTime.now()
        self._probed_before = False
        """Whether the training that begins was probed before it was interrupted."""

    @property
    def memory(self) -> Memory | None:
        """The peak by what it is for; None before training."""
        if self._probed is None:
            return None
        peak, parts = self._probed
        return parts if self._device.type == "cpu" else of_allocated(parts, self.peak_memory_bytes or peak)

    def train_started(self, step: Step) -> None:
        """Probes memory on the widest batch, and seconds on a typical one (of a search's first candidate)."""
        self._device = step.classifier.device
        again, self._probed_before = self._probed_before, False
        if again:
            return
        widest = step.own(widest_batch(self._lengths, step.protocol, self._seed))
        found = probe(step, [widest] * step.protocol.accumulate)
        if self._probed is None or found[0] > self._probed[0]:
            self._probed = found
        if self.step_seconds is None:
            typical = step.own(typical_batch(self._lengths, step.protocol, self._seed))
            steps = expected_steps(step.protocol, len(self._lengths))
            self.step_seconds, self.pass_seconds = probe_seconds(step, [typical] * step.protocol.accumulate, steps)
        if self._device.type == "cpu":
            self.peak_memory_bytes = self._probed[0]
        else:
            torch.cuda.empty_cache()

    def steps_started(self) -> None:
        """Resets the allocator's peak, so that evaluation does not count."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            self._energy_start = _energy(self._device)
        self._processors_start = ProcessorTime.now()

    def steps_done(self, seconds: float) -> None:
        """Adds the epoch's steps."""
        self.processors += ProcessorTime.now().since(self._processors_start)
        self.train_seconds += seconds
        if self._device.type != "cuda":
            return
        self.peak_memory_bytes = max(self.peak_memory_bytes, torch.cuda.max_memory_allocated(self._device))
        reserved = torch.cuda.max_memory_reserved(self._device)
        self.peak_reserved_bytes = max(self.peak_reserved_bytes or 0, reserved)
        now = _energy(self._device)
        if now is not None and self._energy_start is not None:
            self.energy_joules = (self.energy_joules or 0.0) + now - self._energy_start

    def state(self) -> dict[str, Any]:
        """All sums and peaks so far."""
        names = ("train_seconds", "evaluate_seconds", "peak_memory_bytes", "peak_reserved_bytes", "energy_joules")
        records = {"step_seconds": self.step_seconds, "pass_seconds": self.pass_seconds, "processors": self.processors}
        peak, parts = self._probed or (0, None)
        return {
            **{name: getattr(self, name) for name in names},
            **{name: None if record is None else asdict(record) for name, record in records.items()},
            "probed": None if parts is None else [peak, asdict(parts)],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from there: what a training costs is the sum of its parts, and it is probed once."""
        kinds = {"step_seconds": StepSeconds, "pass_seconds": PassSeconds, "processors": ProcessorTime}
        probed = state["probed"]
        self._probed = None if probed is None else (probed[0], Memory(**probed[1]))
        self._probed_before = True
        for name, value in state.items():
            if name in kinds:
                setattr(self, name, None if value is None else kinds[name](**value))
            elif name != "probed":
                setattr(self, name, value)

    def solve_started(self, device: torch.device) -> None:
        """Before a head is solved: what follows is charged as an epoch's steps are."""
        self._device = device
        self.steps_started()

    def solved(self, seconds: float, peak: int, memory: Memory) -> None:
        """Adds the solving of a head, whose memory counts where it is more than a step's."""
        self._probed = (peak, memory)
        if self._device.type == "cpu":
            self.peak_memory_bytes = peak
        self.steps_done(seconds)

    def evaluated(self, seconds: float) -> None:
        """Adds an evaluation."""
        self.evaluate_seconds += seconds


def of_allocated(parts: Memory, allocated: int) -> Memory | None:
    """A GPU's peak by what it is for: the tensors that the probe saw, the rest of what was allocated in `other`.

    The rest is what operations take inside their kernels, and rounding. None where more was seen than allocated.
    """
    seen = parts.weights + parts.gradients + parts.optimizer + parts.activations + parts.cache
    return replace(parts, other=allocated - seen) if seen <= allocated else None


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
