"""The `protocol:` part of a study file: everything that the compared methods share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from thriftune.amounts import parse_seconds
from thriftune.errors import InputError
from thriftune.settings import Settings, setting

Precision = Literal["fp32", "tf32", "bf16"]
"""What runs."""

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

    type: Literal["auto", "linear", "constant", "cosine", "plateau", "stable"] = setting(
        "auto",
        help="decay to zero over all steps (linear, cosine), none (constant), on a plateau of the validation loss, or "
        "at the end alone (stable); auto: linear, and stable with epochs auto",
    )
    warmup: float | None = setting(
        None,
        help="share of the steps over which the rate rises from zero (with epochs auto: of min_steps); 0.1 for linear, "
        "cosine and stable, else 0",
        minimum=0,
        below=1,
    )
    decay: float | None = setting(
        None, help="stable: share of the steps over which the rate falls to zero at the end (0.2)", above=0, below=1
    )
    factor: float | None = setting(None, help="plateau: the rate is multiplied by this (0.5)", above=0, below=1)
    patience: int | None = setting(None, help="plateau: epochs without improvement that are tolerated (2)", minimum=0)

    def problems(self) -> list[tuple[str, str]]:
        """factor and patience belong to plateau, decay to stable."""
        owners = {"factor": ("plateau",), "patience": ("plateau",), "decay": ("stable", "auto")}
        return [
            (key, f"has no effect with type {self.type}; remove it, or use type {types[0]}")
            for key, types in owners.items()
            if self.type not in types and getattr(self, key) is not None
        ]

    @property
    def warmup_share(self) -> float:
        """The warm-up in force."""
        if self.warmup is not None:
            return self.warmup
        return 0.1 if self.type in ("auto", "linear", "cosine", "stable") else 0.0

    @property
    def decay_share(self) -> float:
        """The share of the steps over which a stable schedule falls in the end."""
        return 0.2 if self.decay is None else self.decay


@dataclass(frozen=True, kw_only=True)
class EarlyStopping(Settings):
    """Stop when the validation score no longer improves."""

    patience: int = setting(1, help="epochs without improvement after which training stops", minimum=1)
    metric: Literal["loss", "accuracy", "macro_f1"] = setting("loss", help="validation score that is watched")
    min_delta: float = setting(0.0, help="smaller changes do not count as improvement", minimum=0)


MOST_EPOCHS = 100_000


@dataclass(frozen=True, kw_only=True)
class Budget(Settings):
    """How long a method may train where the number of epochs is not given: the same for all methods of a study."""

    max_epochs: int = setting(60, help="no more passes over the training texts", minimum=1, maximum=MOST_EPOCHS)
    min_steps: int = setting(300, help="optimiser steps before training may end", minimum=1, maximum=100_000_000)
    patience: int = setting(
        5, help="looks at validation without improvement after which training ends", minimum=1, maximum=1_000_000
    )
    validate_every: int | None = setting(
        None,
        help="steps between looks at validation; null: an epoch's, at least 20 and at most 200 or a fifth of an epoch, "
        "and more where validation is large",
        minimum=1,
        maximum=100_000_000,
    )
    seconds: float | None = setting(
        None,
        help="training seconds (steps only) after which training ends, as soon as validation is looked at",
        above=0,
    )


@dataclass(frozen=True, kw_only=True)
class Protocol(Settings):
    """How every run of a study is trained."""

    epochs: int | Literal["auto"] = setting(
        3,
        help="passes over the training texts; auto: until validation no longer improves, within the budget",
        minimum=1,
        maximum=MOST_EPOCHS,
    )
    budget: Budget = setting(factory=Budget, help="epochs auto: how long training may take")
    batch_size: int = setting(32, help="texts per forward and backward pass", minimum=1, maximum=MOST_TEXTS)
    accumulate: int = setting(1, help="batches per optimiser step", minimum=1, maximum=MOST_TEXTS)
    fit_batch: bool = setting(
        False,
        help="where a batch runs out of memory, try again with smaller ones and more of them per step: a step sees the "
        "same texts",
    )
    max_tokens: int = setting(
        256, help="longer texts are truncated, special tokens included", minimum=4, maximum=1_000_000
    )
    padding: Literal["none", "longest", "max"] = setting(
        "none", help="none: packed rows, no padding; or pad a batch to its longest text, or to max_tokens"
    )
    precision: Literal["fp32", "tf32", "bf16", "auto"] = setting(
        "fp32",
        help="fp32; tf32 matrix products (GPU); bf16: products and activations in bfloat16, weights in float32 (CPUs "
        "with a unit for it, GPUs); auto: bf16 on such CPUs, else fp32",
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
    prefix: Literal["fp32", "bf16"] = setting(
        "fp32",
        help="how the output of the frozen layers is kept on disk for the training texts: as it is, or rounded to bf16 "
        "(half the disk); what is scored is never rounded",
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
    checkpoint_every: str | None = setting(
        "60s",
        help="time between checkpoints, from which a run that broke off goes on, as in 90s, 10min or 2h; off: none. It "
        "changes no result",
    )

    def problems(self) -> list[tuple[str, str]]:
        """tf32 and room for prefixes exist on GPUs alone; checkpoints come after some time."""
        found = []
        try:
            _ = self.checkpoint_seconds
        except InputError as error:
            found.append(("checkpoint_every", f"{error} Or off."))
        if self.device == "cpu" and self.precision == "tf32":
            found.append(("precision", "tf32 exists on GPUs alone; use fp32 with device cpu"))
        if self.device == "cpu" and self.gpu_prefix_gb:
            found.append(("gpu_prefix_gb", "has no effect with device cpu; remove it"))
        if self.prefix == "bf16" and (self.frozen_dropout == "on" or self.padding != "none"):
            why = "frozen_dropout on" if self.frozen_dropout == "on" else f"padding {self.padding}"
            found.append(("prefix", f"has no effect with {why}, where the frozen layers run in every step; remove it"))
        return found + (self._auto_problems() if self.epochs == "auto" else self._fixed_problems())

    def _fixed_problems(self) -> list[tuple[str, str]]:
        if self.budget == Budget():
            return []
        return [("budget", f"has no effect with epochs {self.epochs}; remove it, or use epochs: auto")]

    def _auto_problems(self) -> list[tuple[str, str]]:
        found = []
        if self.schedule.type not in ("auto", "stable", "constant"):
            found.append(
                (
                    "schedule.type",
                    f"{self.schedule.type} needs to know when training ends, which epochs: auto does not; use auto, "
                    "stable or constant, or give a number of epochs",
                )
            )
        if self.early_stopping is not None:
            found.append(("early_stopping", "has no effect with epochs auto, which ends by budget.patience; remove it"))
        return found

    @property
    def checkpoint_seconds(self) -> float | None:
        """Between two checkpoints; None: there are none."""
        every = self.checkpoint_every
        return None if every is None or every.strip().lower() == "off" else parse_seconds(every)

    @property
    def most_epochs(self) -> int:
        """The number of epochs, or the most that the budget allows."""
        return self.budget.max_epochs if self.epochs == "auto" else self.epochs

    @property
    def schedule_type(self) -> str:
        """The learning-rate schedule in force."""
        if self.schedule.type != "auto":
            return self.schedule.type
        return "stable" if self.epochs == "auto" else "linear"


WITHOUT_EFFECT = ("checkpoint_every", "fit_batch")
"""Keys that change no result: they are no part of a run's id, nor of what its record says of its protocol."""


def deciding(protocol: Protocol) -> dict[str, Any]:
    """The settings on which results depend, as plain values."""
    return {key: value for key, value in asdict(protocol).items() if key not in WITHOUT_EFFECT}


def ran(protocol: Protocol) -> Precision:
    """The precision of a protocol that is `settled`."""
    if protocol.precision == "auto":
        raise ValueError("auto is not settled")
    return protocol.precision


def settled(protocol: Protocol, device: str) -> tuple[Protocol, str | None]:
    """The protocol with the precision that runs on a device, cpu or cuda, and what is to be said of it.

    `auto` is bf16 on processors that multiply it and have the kernels, else fp32: docs/how-it-is-fast.md has what that
    changes. A processor without the unit would run bf16 many times slower than fp32, which it then runs.
    """
    from thriftune.models.ops import kernels

    if protocol.precision not in ("auto", "bf16") or (protocol.precision == "bf16" and device != "cpu"):
        return protocol, None
    if protocol.precision == "auto":
        fits = device == "cpu" and kernels.has_narrow()
        return replace(protocol, precision="bf16" if fits else "fp32"), None
    if kernels.multiplies_narrow():
        return protocol, None
    return replace(protocol, precision="fp32"), (
        "protocol.precision is bf16, for which this processor has no unit (AVX512-BF16 or AMX): fp32 runs instead, "
        "which is many times faster here."
    )
