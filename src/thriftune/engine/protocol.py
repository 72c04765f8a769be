"""The `protocol:` part of a study file: everything that the compared methods share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from thriftune.settings import Settings, setting

MOST_TEXTS = 1_000_000
"""In one batch, and batches in one step: no training set of one machine has more to give."""


@dataclass(frozen=True, kw_only=True)
class OptimizerSettings(Settings):
    """AdamW (Loshchilov and Hutter, 2019)."""

    weight_decay: float = setting(0.01, help="decoupled weight decay", minimum=0, maximum=1000)
    decay: Literal["weights", "all"] = setting(
        "weights", help="decay weights only (not biases and normalisation), or all trained parameters"
    )
    beta1: float = setting(0.9, help="decay of the first moment", minimum=0, below=1)
    beta2: float = setting(0.999, help="decay of the second moment", minimum=0, below=1)
    epsilon: float = setting(1e-8, help="added to the denominator", above=0, maximum=1)
    max_grad_norm: float | None = setting(
        1.0, help="gradients are scaled down to this global norm; null switches clipping off", above=0
    )


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings(Settings):
    """How the learning rate changes over training."""

    type: Literal["linear", "constant", "cosine", "plateau"] = setting(
        "linear", help="decay to zero (linear, cosine), none, or on a plateau of the validation loss"
    )
    warmup: float | None = setting(
        None,
        help="share of the steps over which the rate rises from zero; 0.1 for linear and cosine, else 0",
        minimum=0,
        below=1,
    )
    factor: float | None = setting(None, help="plateau: the rate is multiplied by this (0.5)", above=0, below=1)
    patience: int | None = setting(None, help="plateau: epochs without improvement that are tolerated (2)", minimum=0)

    def problems(self) -> list[tuple[str, str]]:
        """factor and patience belong to plateau."""
        if self.type == "plateau":
            return []
        return [
            (key, f"has no effect with type {self.type}; remove it, or use type plateau")
            for key in ("factor", "patience")
            if getattr(self, key) is not None
        ]

    @property
    def warmup_share(self) -> float:
        """The warm-up in force."""
        if self.warmup is not None:
            return self.warmup
        return 0.1 if self.type in ("linear", "cosine") else 0.0


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Settings):
    """Stop when the validation score no longer improves."""

    patience: int = setting(1, help="epochs without improvement after which training stops", minimum=1)
    metric: Literal["loss", "accuracy", "macro_f1"] = setting("loss", help="validation score that is watched")
    min_delta: float = setting(0.0, help="smaller changes do not count as improvement", minimum=0)


@dataclass(frozen=True, kw_only=True)
class Protocol(Settings):
    """How every run of a study is trained."""

    epochs: int = setting(3, help="passes over the training texts", minimum=1, maximum=100_000)
    batch_size: int = setting(32, help="texts per forward and backward pass", minimum=1, maximum=MOST_TEXTS)
    accumulate: int = setting(1, help="batches per optimiser step", minimum=1, maximum=MOST_TEXTS)
    max_tokens: int = setting(
        256, help="longer texts are truncated, special tokens included", minimum=4, maximum=1_000_000
    )
    padding: Literal["none", "longest", "max"] = setting(
        "none", help="none: packed rows, no padding; or pad a batch to its longest text, or to max_tokens"
    )
    precision: Literal["fp32", "tf32", "bf16"] = setting(
        "fp32", help="fp32; tf32 matrix products (GPU); bf16 autocast with float32 weights"
    )
    frozen_dropout: Literal["off", "on"] = setting(
        "off", help="dropout in the layers below the first trained one (on: as transformers' Trainer does)"
    )
    recompute: Literal["none", "layers"] = setting(
        "none", help="layers: keep no activations inside layers and run them again for gradients (less memory, slower)"
    )
    gpu_prefix_gb: float = setting(
        0.0,
        help="GPU memory, in GB, for the output of the frozen layers; what is larger stays with the host (slower)",
        minimum=0,
        maximum=1_000_000,
    )
    keep: Literal["best", "last"] = setting(
        "best", help="test the weights of the epoch with the best validation score, or of the last"
    )
    select: Literal["loss", "accuracy", "macro_f1"] = setting(
        "accuracy", help="validation score that picks the best epoch and learning rate"
    )
    device: Literal["auto", "cpu", "cuda"] = setting("auto", help="auto takes a GPU where there is one")
    optimizer: OptimizerSettings = setting(factory=OptimizerSettings, help="AdamW settings")
    schedule: ScheduleSettings = setting(factory=ScheduleSettings, help="learning-rate schedule")
    early_stopping: EarlyStopping | None = setting(None, help="stop early; null trains all epochs")

    def problems(self) -> list[tuple[str, str]]:
        """tf32 and room for prefixes exist on GPUs alone."""
        found = []
        if self.device == "cpu" and self.precision == "tf32":
            found.append(("precision", "tf32 exists on GPUs alone; use fp32 with device cpu"))
        if self.device == "cpu" and self.gpu_prefix_gb:
            found.append(("gpu_prefix_gb", "has no effect with device cpu; remove it"))
        return found
