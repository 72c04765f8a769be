"""Which frozen layers run together: all at once, or one at a time with no other's weights in memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from thriftune.models.classifier import Classifier
from thriftune.models.weights import absent

STREAMED_BYTES = 1_000_000_000
"""CPU: weights below the cut that are more than this are read one layer at a time."""

PeakOf = Callable[[Sequence[torch.Tensor], Callable[[], object]], int]
"""Bytes at the peak of some untimed work, with the weights that are there for it."""
Report = Callable[[int, int], None]
"""Called with the tokens done and the tokens in all."""


@dataclass(frozen=True)
class Start:
    """The output of some of the lowest layers, from before."""

    layer: int
    """How many layers it went through."""
    values: np.ndarray
    """(tokens, hidden)."""
    peak: int | None
    """Bytes that it needed at the peak; None where not measured."""


@dataclass(frozen=True)
class Stage:
    """Neighbouring layers that run together."""

    bottom: int | None
    """The first layer; None where the embeddings come first."""
    top: int
    """The layer after the last one."""
    modules: list[nn.Module]
    """Those whose weights only layers below the cut need."""


def stages_of(classifier: Classifier, cut: int, between_bytes: int, spare: Path | None) -> list[Stage]:
    """One for everything, or one for the embeddings and one per layer where the weights are large and not there."""
    family, encoder = classifier.family, classifier.encoder
    modules = family.below(encoder, cut)
    size = sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
    cramped = spare is not None and shutil.disk_usage(spare.parent).free < 1.1 * between_bytes
    small = size <= _budget(classifier.device) or family.shared_layers
    if cramped or small or not any(absent(module) for module in modules):
        return [Stage(None, cut, modules)]
    stages = [Stage(None, 0, family.below(encoder, 0))]
    for layer in range(cut):
        lower = {id(module) for module in family.below(encoder, layer)}
        own = [module for module in family.below(encoder, layer + 1) if id(module) not in lower]
        stages.append(Stage(layer, layer + 1, own))
    return stages


def stages_after(classifier: Classifier, stages: list[Stage], cut: int, layer: int) -> list[Stage]:
    """The stages above a layer."""
    if len(stages) > 1:
        return [stage for stage in stages if stage.bottom is not None and stage.bottom >= layer]
    lower = {id(module) for module in classifier.family.below(classifier.encoder, layer)}
    return [Stage(layer, cut, [module for module in stages[0].modules if id(module) not in lower])]


def _budget(device: torch.device) -> int:
    """Bytes of weights below the cut that may be in memory together."""
    return torch.cuda.mem_get_info(device)[0] // 2 if device.type == "cuda" else STREAMED_BYTES
