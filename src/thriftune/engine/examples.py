"""Tokenised texts with their labels, and the output of the frozen layers for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from thriftune.data.tokens import Tokens


@dataclass(frozen=True)
class Prefix:
    """Hidden states below the cut, for all texts of a split."""

    layer: int
    """How many layers they went through."""
    values: np.ndarray
    """(tokens, hidden); (texts, hidden) of what the head reads, where nothing but the head follows. As `narrow_values`
    has them where they are bf16."""
    offsets: np.ndarray | None
    """(texts + 1,) first row of each text; None where a text has one row."""
    seconds: float
    """What computing them took, now or then."""
    peak_memory_bytes: int | None
    """What computing them needed, now or then, with this run's weights above the cut; None where not measured."""
    reused: bool
    mapped: bool
    """Whether the values are a file rather than memory."""
    trouble: str | None = None
    """Why they are not a file although they should be."""

    def read(self, indices: np.ndarray, device: torch.device, narrow: torch.dtype = torch.float32) -> torch.Tensor:
        """The rows of some texts, one text after another: (rows, hidden); bf16 values become `narrow`."""
        rows = tensor_of(gather(self.values, self.offsets, indices)).to(device)
        return rows.to(narrow) if rows.dtype == torch.bfloat16 else rows


@dataclass(frozen=True)
class Examples:
    """Tokenised texts with their labels."""

    tokens: Tokens
    labels: np.ndarray
    """Label ids of shape (texts,), int64."""
    prefix: Prefix | None = None
    """The output of the frozen layers, where it was computed once."""

    def __len__(self) -> int:
        return len(self.labels)


def gather(values: np.ndarray, offsets: np.ndarray | None, indices: np.ndarray) -> np.ndarray:
    """The rows of some texts, one text after another; without offsets a text has one row."""
    if offsets is None:
        return np.asarray(values[indices])
    return np.concatenate([values[offsets[i] : offsets[i + 1]] for i in indices])


NARROW = np.dtype("uint16")
"""How numpy, which has no bfloat16, holds one: its bits."""


def narrow_values(hidden: torch.Tensor) -> np.ndarray:
    """Float32 values rounded to bfloat16, the nearest even: their bits, of the same shape."""
    return hidden.to(torch.bfloat16).cpu().view(torch.int16).numpy().view(NARROW)


def tensor_of(values: np.ndarray) -> torch.Tensor:
    """Stored values as a tensor of the same memory: bfloat16 where their bits are stored."""
    if values.dtype == NARROW:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(values)


def array_of(tensor: torch.Tensor) -> np.ndarray:
    """A CPU tensor as stored values of the same memory; the opposite of `tensor_of`."""
    return tensor.view(torch.int16).numpy().view(NARROW) if tensor.dtype == torch.bfloat16 else tensor.numpy()
