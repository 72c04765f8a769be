"""What a run costs: the numbers that are estimated and measured alike, and those that are measured alone."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Memory:
    """Bytes alive at the training step's peak, by what they are for; the parts add up to the peak."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    cache: int
    other: int


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of one training step on a typical batch, by what they are for; the parts add up to the step."""

    data: float
    """Making the batch."""
    forward: float
    backward: float
    optimizer: float
    """Clipping and updating."""


@dataclass(frozen=True)
class PassSeconds:
    """The same step's forward and backward, by how far gradients go; the parts add up to the two."""

    head: float
    """Without the method: forward through every layer that runs, backward through the head alone."""
    reach: float
    """What backward down to the lowest trained layer adds, still without the method's own work."""
    own: float
    """The rest, the method's own: the adapters' products, the gradients of the trained weights."""


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """The memory that a run trains in, and what it trains and leaves: the same numbers, estimated or measured."""

    peak_memory_bytes: int | None
    """In training steps. CPU: live tensor bytes; CUDA: allocated bytes. None where there are no steps (baselines)."""
    memory: Memory | None
    trained_parameters: int
    """All trained parameters, the head's included."""
    head_parameters: int
    total_parameters: int
    stored_bytes: int
    """Weight bytes in model/."""
    delta_bytes: int
    """Bytes of the trained tensors alone."""


@dataclass(frozen=True, kw_only=True)
class StepFootprint(Footprint):
    """That of a run with training steps: its memory is known."""

    peak_memory_bytes: int
    memory: Memory

    @property
    def numbers(self) -> dict[str, Any]:
        """The footprint alone, by field name."""
        return {each.name: getattr(self, each.name) for each in fields(StepFootprint)}


@dataclass(frozen=True, kw_only=True)
class Cost(Footprint):
    """What a run cost, measured (definitions: docs/how-cost-is-measured.md)."""

    train_seconds: float
    """Optimisation steps only, synchronised; a learning-rate search is included."""
    prefix_seconds: float
    prefix_reused: bool
    evaluate_seconds: float
    load_seconds: float
    samples_per_second: float | None
    """Training samples over train_seconds + prefix_seconds; None where there are no steps (baselines)."""
    peak_reserved_bytes: int | None
    """CUDA only: what the allocator reserved."""
    peak_process_bytes: int | None
    """Largest resident set of the run's process (CPU side)."""
    prefix_peak_memory_bytes: int | None
    energy_joules: float | None
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a number is None, by its field name."""
    step_seconds: StepSeconds | None = None
    pass_seconds: PassSeconds | None = None
    layers: int | None = None
    """Encoder layers of the model."""
    gradient_layers: int | None = None
    """Encoder layers that gradients go through: those from the lowest trained one up."""
    pretrained_bytes: int | None = None
    """Weight files of the pretrained model that the run started from."""
    adapter: bool | None = None
    """Whether model/ holds an adapter, which needs the pretrained model beside it."""
    train_cpu_seconds: float | None = None
    """What the run's threads used of the processors during train_seconds, summed over them."""
    train_waited_seconds: float | None = None
    """What they were ready to run in that time and did not, because others ran."""
    load_at_start: float | None = None
    """The machine's load average over the minute before the run began."""
    fit_memory_bytes: int | None = None
    """Baselines: bytes of the arrays alive at the peak of fitting, as tensors count elsewhere; in results of earlier
    versions what is now `fit_process_bytes`."""
    fit_process_bytes: int | None = None
    """Baselines: how far the process's resident memory rose while the method was fitted, over what it held before."""
    threads: int | None = None
    """Threads that trained; None in results of earlier versions."""
    search_seconds: float | None = None
    """Of train_seconds, those of learning rates that were tried beside the training whose weights were kept; None where
    there are no steps, and in results of earlier versions."""
    latency_seconds: float | None = None
    """Of one text, from text to probabilities, with the stored model: the median of many texts of the test split. This
    and the three below are None in results of earlier versions."""
    latency_p95_seconds: float | None = None
    """The same: 95% of those texts took no longer."""
    predict_texts_per_second: float | None = None
    """In batches of 32 texts."""
    predict_memory_bytes: int | None = None
    """While such a batch is predicted, the weights included, as `peak_memory_bytes` counts them."""
    runs_beside: int = 0
    """The most other runs of the study that were under way on the same device at once while this one was. Where there
    were some, seconds say less; memory is the run's own."""
