"""Packed rows: one row per real token, texts one after another, longest text first."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

TEXTS_PER_GROUP = 8
"""CPU: attention pads groups of so many texts of similar length; a GPU takes all texts at once."""


@dataclass(frozen=True)
class Group:
    """Neighbouring texts that attention pads to one width."""

    first_row: int
    rows: int
    first_text: int
    texts: int
    width: int
    slots: torch.Tensor | None
    """(rows,) the place of each row in (texts * width); None where every text has that width."""
    mask: torch.Tensor | None
    """(texts, 1, 1, width) True at real tokens; None where every text has the width."""


@dataclass(frozen=True)
class Rows:
    """A batch of texts without padding; a row belongs to one token."""

    ids: torch.Tensor
    """(rows,) token ids."""
    types: torch.Tensor | None
    """(rows,) segments; None for models without them."""
    positions: torch.Tensor
    """(rows,) places in the text, from 0."""
    starts: torch.Tensor
    """(texts,) the first row of each text."""
    lengths: torch.Tensor
    """(texts,) tokens of each text."""
    groups: tuple[Group, ...]

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return len(self.starts)

    @cached_property
    def width(self) -> int:
        """Tokens of the longest text."""
        return max(group.width for group in self.groups)


def layout(lengths: np.ndarray, per_group: int, device: torch.device) -> tuple[Group, ...]:
    """Attention groups for texts of these lengths; the fewer are padded the more alike neighbours are."""
    groups = []
    row = 0
    for start in range(0, len(lengths), per_group):
        own = lengths[start : start + per_group]
        width, count = int(own.max()), int(own.sum())
        slots = mask = None
        if count != width * len(own):
            real = np.arange(width)[None, :] < own[:, None]
            slots = torch.from_numpy(np.flatnonzero(real)).to(device)
            mask = torch.from_numpy(real[:, None, None, :]).to(device)
        groups.append(Group(row, count, start, len(own), width, slots, mask))
        row += count
    return tuple(groups)


def take(source: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Rows of (rows, ...) at unique places: (places, ...)."""
    # Not source[places], whose backward pass sorts the places.
    return source.index_select(0, places)


def pad(rows: torch.Tensor, group: Group) -> torch.Tensor:
    """A group's rows (rows, hidden) as (texts, width, hidden), zeros where there is no token."""
    if group.slots is not None:
        # index_copy would save the rows for its backward pass; this saves their places.
        places = group.slots.unsqueeze(1).expand_as(rows)
        rows = rows.new_zeros(group.texts * group.width, rows.shape[1]).scatter(0, places, rows)
    return rows.view(group.texts, group.width, rows.shape[1])


def unpad(padded: torch.Tensor, group: Group) -> torch.Tensor:
    """The reverse of `pad`."""
    flat = padded.reshape(group.texts * group.width, *padded.shape[2:])
    return flat if group.slots is None else take(flat, group.slots)
