"""What runs are predicted to cost: before a run, for `thriftune estimate`, and along an axis."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from thriftune.results.cost import StepFootprint
from thriftune.results.plain import SCHEMA_VERSION

AXES = ("tokens", "depth", "size")
"""Tokens per batch, layers with gradients, parameters of the model."""
TIMES = ("train_seconds", "prefix_seconds", "samples_per_second")
"""What of a prediction is about time."""


@dataclass(frozen=True, kw_only=True)
class Prediction(StepFootprint):
    """What a run was predicted to cost before it began, from its model's configuration."""

    flops_per_sample: float
    """Of training, on an ordinary batch; the frozen layers' single pass counts apart."""
    prefix_flops_per_sample: float
    train_seconds: float | None
    prefix_seconds: float | None
    samples_per_second: float | None
    """Training samples over train_seconds + prefix_seconds."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why a number is None, by its field name."""
    train_samples: float | None = None
    """Training texts, of all learning rates that are tried, that train_seconds is predicted for; with epochs auto a
    guess. None without data, and in results of earlier versions."""

    def without_times(self, why: str) -> Prediction:
        """The same where nobody knows how long it takes, with the reason."""
        reasons = self.reasons | dict.fromkeys(TIMES, why)
        return replace(self, train_seconds=None, prefix_seconds=None, samples_per_second=None, reasons=reasons)


@dataclass(frozen=True)
class Forecast:
    """What one cell of a study would cost, and whether it fits: one of `cells` in what `estimate --json` prints."""

    name: str
    model: str
    method: dict[str, Any]
    batch_size: int
    device: str
    predicted: Prediction
    memory_limit_bytes: int | None
    fits: bool | None
    """None where no limit is given."""
    largest_batch_size: int | None
    guessed_epochs: float | None = None
    """Epochs that the time is predicted for where validation decides when training ends; None where it does not."""
    seeds: int = 1
    """Runs of it that the study makes."""
    test_texts: int | None = None
    """Texts that it will be tested on; None without data."""
    test_groups: int | None = None
    """Groups that those make (`data.group`); None where each stands for itself."""
    test_group_size: float | None = None
    """Texts of the group that a test text is in, itself included, on average over the texts."""
    prefix_layers: int | None = None
    """Frozen layers that run once, whose output is kept on disk; None where there are none, or without data."""
    prefix_bytes: int | None = None
    """What that takes for all splits; those that are not tokenised are taken to be as long as train's texts."""


@dataclass(frozen=True)
class AxisPoint:
    """What one method is predicted to cost at one place of an axis (tokens per batch, depth, model size)."""

    axis: str
    method: str
    x: float
    """Padded tokens per batch, layers with gradients, or parameters of the model."""
    label: str
    """The place, for people."""
    peak_memory_bytes: int
    flops_per_sample: float
    """Of training; the frozen layers' single pass spread over the epochs."""
    seconds_per_sample: float | None = None
    """The same; None where this machine was not probed for a model of that width."""


@dataclass(frozen=True)
class Axis:
    """What was estimated along one axis."""

    sentences: list[str]
    """Where lines cross, in words."""
    points: list[AxisPoint]


@dataclass(frozen=True)
class Crossovers:
    """`crossovers.json`: what `thriftune crossovers` estimated."""

    setting: str
    """What does not vary along an axis, in a sentence."""
    axes: dict[str, Axis]
    schema_version: int = SCHEMA_VERSION

    @property
    def points(self) -> dict[str, list[AxisPoint]]:
        """What was estimated along every axis that this release knows."""
        return {axis: self.axes[axis].points for axis in AXES if axis in self.axes}
