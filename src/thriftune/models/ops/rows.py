"""Packed rows: one row per real token, texts one after another, longest text first."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

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
class HeadLayout:
    """Places of a group's rows between (rows, heads) and (texts, heads, width)."""

    source: torch.Tensor
    """(texts * heads * width,) which row and head stands there; padding repeats the first row, unseen."""
    target: torch.Tensor
    """(rows * heads,) where each row and head goes."""
    blocked: torch.Tensor | None
    """(texts * heads, 1, width) True at padding; None where there is none."""


def _head_layout(group: Group, heads: int, device: torch.device) -> HeadLayout:
    slots = torch.arange(group.rows, device=device) if group.slots is None else group.slots
    head = torch.arange(heads, device=device)
    row_at = torch.zeros(group.texts * group.width, dtype=torch.int64, device=device)
    row_at[slots] = torch.arange(group.rows, device=device)
    source = row_at.view(group.texts, 1, group.width) * heads + head.view(1, heads, 1)
    text, place = slots // group.width, slots % group.width
    target = (text[:, None] * heads + head) * group.width + place[:, None]
    blocked = None
    if group.mask is not None:
        blocked = ~group.mask.expand(group.texts, heads, 1, group.width).reshape(-1, 1, group.width)
    return HeadLayout(source.flatten(), target.flatten(), blocked)


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
    head_layouts: dict[int, tuple[HeadLayout, ...]] = field(default_factory=dict, compare=False)
    """By number of heads; made when first needed, for all layers."""

    def by_head(self, heads: int) -> tuple[HeadLayout, ...]:
        """Where each group's rows go when heads are a batch dimension."""
        if heads not in self.head_layouts:
            self.head_layouts[heads] = tuple(_head_layout(group, heads, self.ids.device) for group in self.groups)
        return self.head_layouts[heads]

    @property
    def texts(self) -> int:
        """How many texts there are."""
        return len(self.starts)

    @cached_property
    def width(self) -> int:
        """Tokens of the longest text."""
        return max(group.width for group in self.groups)


def layout(lengths: np.ndarray, per_group: int, device: torch.device) -> tuple[Group, ...]:
    """Attention groups for texts of these lengths (longest first)."""
    groups = []
    row = 0
    for start in range(0, len(lengths), per_group):
        own = lengths[start : start + per_group]
        width, count = int(own[0]), int(own.sum())
        slots = mask = None
        if count != width * len(own):
            real = np.arange(width)[None, :] < own[:, None]
            slots = torch.from_numpy(np.flatnonzero(real)).to(device)
            mask = torch.from_numpy(real[:, None, None, :]).to(device)
        groups.append(Group(row, count, start, len(own), width, slots, mask))
        row += count
    return tuple(groups)


class _Place(torch.autograd.Function):
    """Rows into zeros at unique places; the backward is a plain gather, not index_put with accumulation."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, places: torch.Tensor, count: int) -> torch.Tensor:
        ctx.save_for_backward(places)
        return rows.new_zeros(count, *rows.shape[1:]).index_copy_(0, places, rows)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None, None]:  # type: ignore[override]
        (places,) = ctx.saved_tensors
        return grad.index_select(0, places), None, None


class _Take(torch.autograd.Function):
    """Rows from unique places; the backward copies them back into zeros."""

    @staticmethod
    def forward(ctx: Any, source: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(places)
        ctx.count = source.shape[0]
        return source.index_select(0, places)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (places,) = ctx.saved_tensors
        return grad.new_zeros(ctx.count, *grad.shape[1:]).index_copy_(0, places, grad), None


def take(source: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Rows of (rows, ...) at unique places: (places, ...)."""
    out: torch.Tensor = _Take.apply(source, places)
    return out


def pad(rows: torch.Tensor, group: Group) -> torch.Tensor:
    """A group's rows (rows, ...) as (texts, width, ...), zeros where there is no token."""
    if group.slots is None:
        return rows.reshape(group.texts, group.width, *rows.shape[1:])
    placed: torch.Tensor = _Place.apply(rows, group.slots, group.texts * group.width)
    return placed.view(group.texts, group.width, *rows.shape[1:])


def unpad(padded: torch.Tensor, group: Group) -> torch.Tensor:
    """The reverse of `pad`."""
    flat = padded.reshape(group.texts * group.width, *padded.shape[2:])
    return flat if group.slots is None else take(flat, group.slots)
