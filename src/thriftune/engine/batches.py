"""Which texts a step sees, and how they become padded tensors."""

from __future__ import annotations

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.device import device_kind
from thriftune.models.ops import share
from thriftune.models.ops.rows import TEXTS_PER_GROUP, Rows, layout

ROWS_PER_BATCH = 2048
"""Tokens that go through the layers at once where nothing is trained; part of a prefix's key, for the sums' order
depends on it."""


def training_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The texts of one epoch in random order, in batches; the last one may be smaller.

    The order depends on (count, seed, epoch) alone, so that every method of a study sees the same batches.
    """
    order = training_order(count, seed, epoch)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


def training_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The texts of one epoch in random order, (count,)."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def widest_batch(lengths: np.ndarray, protocol: Protocol, seed: int) -> np.ndarray:
    """The training batch with the most padded tokens over all epochs: where a step's memory peaks."""
    lengths, size = np.asarray(lengths), protocol.batch_size
    starts = np.arange(0, len(lengths), size)
    texts = np.diff(np.append(starts, len(lengths)))
    best, widest = (-1, -1), np.empty(0, dtype=np.int64)
    for epoch in range(protocol.most_epochs):
        order = training_order(len(lengths), seed, epoch)
        padded = texts * np.maximum.reduceat(lengths[order], starts)
        tokens = np.where(padded == padded.max(), np.add.reduceat(lengths[order], starts), -1)
        place = int(tokens.argmax())
        if (found := (int(padded[place]), int(tokens[place]))) > best:
            best, widest = found, order[starts[place] : starts[place] + size]
    return widest


def typical_batch(lengths: np.ndarray, protocol: Protocol, seed: int) -> np.ndarray:
    """The full batch of the first epoch whose padded tokens are nearest to the mean: what a step usually costs."""
    batches = training_batches(len(lengths), protocol.batch_size, seed, 0)
    full = [batch for batch in batches if len(batch) == len(batches[0])]
    sizes = np.array([[len(batch) * lengths[batch].max(), lengths[batch].sum()] for batch in full], dtype=np.float64)
    padded = sizes[:, 1 if protocol.padding == "none" else 0]
    return full[int(np.abs(padded - padded.mean()).argmin())]


def token_batches(lengths: np.ndarray) -> list[np.ndarray]:
    """Texts, longest first, in batches of about ROWS_PER_BATCH tokens; they depend on the lengths alone."""
    order = np.argsort(-lengths, kind="stable")
    numbers = np.cumsum(lengths[order])
    numbers -= 1
    numbers //= ROWS_PER_BATCH  # in place: there may be many texts
    breaks = np.flatnonzero(numbers[1:] != numbers[:-1]) + 1
    return np.split(order, breaks) if len(order) else []


def padded_batch(
    tokens: Tokens, indices: np.ndarray, classifier: Classifier, protocol: Protocol
) -> dict[str, torch.Tensor]:
    """The network's inputs for some texts: input_ids, attention_mask and, where it has them, token_type_ids.

    Each has the shape (texts, width), width being the longest text of the batch or `max_tokens`. Padding stands on
    the classifier's side.
    """
    starts = tokens.offsets[indices]
    lengths = (tokens.offsets[indices + 1] - starts).astype(np.int64)
    whole = share.present()  # what several processes share is padded as in one
    width = (
        protocol.max_tokens if protocol.padding == "max" else int((lengths if whole is None else whole.lengths).max())
    )
    return padded(tokens, starts, lengths, width, classifier)


def padded(
    tokens: Tokens, starts: np.ndarray, lengths: np.ndarray, width: int, classifier: Classifier
) -> dict[str, torch.Tensor]:
    """The network's inputs for the texts of these lengths that begin at `starts`, each of shape (texts, width)."""
    first = width - lengths if classifier.padding_side == "left" else np.zeros_like(lengths)
    columns = np.arange(width)[None, :] - first[:, None]
    mask = (columns >= 0) & (columns < lengths[:, None])
    source = (starts[:, None] + columns)[mask]
    ids = np.full(mask.shape, classifier.config.pad_token_id or 0, dtype=np.int64)
    ids[mask] = tokens.ids[source]
    inputs = {"input_ids": ids, "attention_mask": mask.astype(np.int64)}
    if tokens.types is not None:
        types = np.zeros(mask.shape, dtype=np.int64)
        types[mask] = tokens.types[source]
        inputs["token_type_ids"] = types
    return {name: torch.from_numpy(value).to(classifier.device) for name, value in inputs.items()}


def packed_batch(tokens: Tokens, indices: np.ndarray, device: torch.device) -> Rows:
    """Some texts as packed rows, in the order of the indices; longest first, least is padded."""
    lengths = tokens.lengths[indices]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    positions = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    source = np.repeat(tokens.offsets[indices], lengths) + positions

    def move(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array.astype(np.int64)).to(device)

    return Rows(
        ids=move(tokens.ids[source]),
        types=None if tokens.types is None else move(tokens.types[source]),
        positions=move(positions),
        starts=move(starts),
        lengths=move(lengths),
        groups=layout(lengths, TEXTS_PER_GROUP if device_kind(device) == "cpu" else len(lengths), device),
    )
