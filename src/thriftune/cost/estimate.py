"""Predicts what a run will cost: the engine's own step on tensors without data, under the counter that measures.

There is no formula per architecture: what is estimated is what runs. No weight is ever allocated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from thriftune.cost.memory import peak_of
from thriftune.cost.shapes import materialise, without_data
from thriftune.data.tokens import Tokens
from thriftune.engine.batches import Examples
from thriftune.engine.cut import has_constant_prefix
from thriftune.engine.prefix import Prefix
from thriftune.engine.protocol import Protocol
from thriftune.engine.step import Step, build_optimizer
from thriftune.methods.base import TransformerMethod
from thriftune.models.classifier import Classifier
from thriftune.models.device import pretend
from thriftune.models.head import HeadSettings
from thriftune.models.load import skeleton, token_types
from thriftune.models.save import delta_bytes
from thriftune.results.record import Memory

DeviceKind = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Cell:
    """One model trained by one method under one protocol: what an estimate is made for."""

    model: Path
    """A folder; config.json is all that is read of it."""
    method: TransformerMethod
    protocol: Protocol
    lengths: tuple[int, ...]
    """Tokens of each text in the batch where a step's memory peaks (`widest_batch`)."""
    head: HeadSettings = field(default_factory=HeadSettings)
    classes: int = 2
    device: DeviceKind = "cpu"
    prefix: bool = True
    """Whether the output of frozen layers fits into the cache, so that it is computed once."""


@dataclass(frozen=True)
class Estimate:
    """What a run is predicted to cost."""

    peak_memory_bytes: int
    """CPU: live tensor bytes in a training step; CUDA: allocated bytes."""
    memory: Memory
    trained_parameters: int
    """All trained parameters, the head's included."""
    head_parameters: int
    total_parameters: int
    delta_bytes: int
    """Bytes of the trained tensors alone."""


def estimate(cell: Cell) -> Estimate:
    """Predicts a cell's cost from its model's configuration.

    Raises `InputError` where the configuration cannot be used or the method does not fit it.
    """
    labels = tuple(f"label {index}" for index in range(cell.classes))
    classifier = skeleton(cell.model, labels, cell.head)
    cell.method.apply(classifier, torch.Generator().manual_seed(0))
    counts, delta = classifier.counts(), delta_bytes(classifier)
    with pretend(cell.device), without_data():
        examples = _examples(classifier, cell)
        step = _step(classifier, cell, examples)
        batch = np.arange(len(cell.lengths))
        peak, memory = peak_of(step, [batch] * cell.protocol.accumulate)
    return Estimate(peak, memory, counts.trained, counts.head, counts.total, delta)


def _step(classifier: Classifier, cell: Cell, examples: Examples) -> Step:
    absent = []
    if examples.prefix is not None:
        absent = classifier.family.below(classifier.encoder, examples.prefix.layer)
    materialise(classifier, absent)
    classifier.train_mode(cell.protocol.frozen_dropout == "on")
    return Step(classifier, examples, cell.protocol, build_optimizer(classifier, cell.protocol.optimizer, 0.0))


def _examples(classifier: Classifier, cell: Cell) -> Examples:
    """Texts of the cell's lengths, and where frozen layers run once, their output."""
    offsets = np.concatenate([[0], np.cumsum(cell.lengths)]).astype(np.int64)
    ids = np.zeros(offsets[-1], dtype=np.int32)
    types = np.zeros(len(ids), dtype=np.uint8) if token_types(classifier.config) else None
    examples = Examples(Tokens(ids, types, offsets, 0), np.zeros(len(cell.lengths), dtype=np.int64))
    if not (cell.prefix and has_constant_prefix(classifier, cell.protocol)):
        return examples
    cut = classifier.cut
    assert cut is not None
    first_only = cut == len(classifier.layers) and classifier.family.reads_first_token(classifier)
    rows = len(cell.lengths) if first_only else len(ids)
    values = np.zeros((rows, classifier.config.hidden_size), dtype=np.float32)
    prefix = Prefix(cut, values, None if first_only else offsets, 0.0, reused=False, mapped=True)
    return Examples(examples.tokens, examples.labels, prefix)
