"""The vector that a frozen encoder makes of each text: what a head on it reads."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from thriftune.engine.batches import padded_batch
from thriftune.engine.examples import Examples
from thriftune.engine.forward import packs, row_dtype
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import FrozenLayers, Report
from thriftune.engine.frozen.prefix import kind_of, prefix_of
from thriftune.engine.frozen.stages import PeakOf
from thriftune.engine.protocol import Precision, Protocol
from thriftune.errors import InputError
from thriftune.models.classifier import Classifier
from thriftune.models.head import mean_of
from thriftune.models.padding import sorted_batches

TEXTS_PER_BATCH = 32
"""Of the reference path, longest texts first."""


@dataclass(frozen=True)
class Embedded:
    """The vectors of a split, and what they took."""

    values: np.ndarray
    """(texts, hidden), float32."""
    seconds: float
    """Now, or when they were computed."""
    peak_memory_bytes: int | None
    """None where it was not measured."""
    reused: bool


def as_frozen(protocol: Protocol) -> Protocol:
    """The protocol of an encoder that is not trained: no dropout anywhere, vectors that are not rounded."""
    return replace(protocol, frozen_dropout="off", prefix="fp32")


def ran_in(classifier: Classifier, protocol: Protocol) -> Precision:
    """The precision of vectors: bf16 by our own path alone, as below every cut, and float32 where that is not there."""
    if protocol.precision == "tf32":
        return "tf32"
    return "fp32" if row_dtype(classifier, protocol) is None else "bf16"


def embed(
    classifier: Classifier,
    splits: dict[str, Examples],
    protocol: Protocol,
    cache: PrefixCache,
    report: Report | None = None,
    peak_of: PeakOf | None = None,
    further: dict[str, Examples] | None = None,
) -> dict[str, Embedded]:
    """The vectors of all texts, by split: one pass through the encoder of a classifier with a bare head.

    They are the output of the frozen layers that a method which trains the head alone reads, and lie in the same files
    of the cache; what another run computed is read. Architectures that do not pack, and protocols that pad, run
    through transformers' own forward. Weights below the head may have left memory afterwards.
    """
    if not classifier.head.bare:
        raise ValueError("an architecture's own head reads more than a vector")
    classifier.network.requires_grad_(False)
    frozen = FrozenLayers(splits, as_frozen(protocol), cache, report, peak_of, further or {})
    return {name: _embedded(classifier, part, frozen, name) for name, part in frozen.run(classifier).items()}


def _embedded(classifier: Classifier, examples: Examples, frozen: FrozenLayers, name: str) -> Embedded:
    prefix = examples.prefix
    if prefix is None and packs(classifier, frozen.protocol) and len(classifier.layers):  # no room in the cache for it
        kind = kind_of(classifier, frozen.protocol, name)
        prefix = prefix_of(classifier, examples.tokens, None, None, frozen.peak_of, kind)
    if prefix is None:
        return _padded(classifier, examples, frozen, name)
    return Embedded(np.asarray(prefix.values), prefix.seconds, prefix.peak_memory_bytes, prefix.reused)


def _padded(classifier: Classifier, examples: Examples, frozen: FrozenLayers, name: str) -> Embedded:
    """The same through transformers' own forward; where padding is read, texts of one length run together."""
    classifier.eval_mode()
    lengths = np.asarray(examples.tokens.lengths)
    equal, protocol = classifier.reads_padding, frozen.protocol
    padding = "longest" if equal or protocol.padding == "none" else protocol.padding
    protocol = replace(protocol, padding=padding)
    batches = sorted_batches(lengths, TEXTS_PER_BATCH, equal=equal)
    values, done, peak = np.empty((len(examples), 0), dtype=np.float32), 0, None
    with torch.inference_mode():
        if frozen.peak_of is not None:
            largest = max(batches, key=lambda batch: int(lengths[batch].max()) * len(batch))
            weights = [t for t in (*classifier.network.parameters(), *classifier.network.buffers()) if not t.is_meta]
            peak = frozen.peak_of(weights, lambda: _read(classifier, examples, largest, protocol))
        started = time.perf_counter()
        for indices in batches:
            read = _read(classifier, examples, indices, protocol).float().cpu().numpy()
            if not values.shape[1]:
                values = np.empty((len(examples), read.shape[1]), dtype=np.float32)
            values[indices] = read
            done += int(lengths[indices].sum())
            if frozen.report is not None:
                frozen.report(name, done, int(lengths.sum()))
    return Embedded(values, time.perf_counter() - started, peak, reused=False)


def _read(classifier: Classifier, examples: Examples, indices: np.ndarray, protocol: Protocol) -> torch.Tensor:
    """What the head reads of some texts, in their order: (texts, hidden)."""
    inputs = padded_batch(examples.tokens, indices, classifier, protocol)
    hidden: torch.Tensor = classifier.encoder(**inputs).last_hidden_state
    if classifier.head.type != "mean":
        return hidden[:, 0]
    mask = inputs["attention_mask"]
    if hidden.shape[1] != mask.shape[1]:
        raise InputError(
            f"{classifier.name} gives {hidden.shape[1]} hidden states for {mask.shape[1]} tokens, so there is no mean "
            "over the tokens. Use embeddings: {pooling: first}."
        )
    return mean_of(hidden, mask)
