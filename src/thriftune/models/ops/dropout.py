"""Dropout that draws and saves little: on a CPU torch's own is 10-20% of a training step.

With the compiled kernels a mask is a function of one seed and nothing is saved. Without them one 64-bit draw decides
four elements with 16 bits each, so a rate is met to within 1/65536. The scale is the one of the rate in force. A GPU
has fused kernels of its own and uses them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from thriftune.models.device import device_kind
from thriftune.models.ops import kernels, share

LEVELS = 1 << 16


def draw(x: torch.Tensor, rate: float, grouped: bool = False) -> tuple[int, torch.Tensor | None]:
    """What one dropout of x, on a CPU, leaves out: a seed for the kernels, else a mask, uint8, 1 where one stays.

    Draws from torch's default generator. `grouped`: x holds some of the batch's texts, which another process that
    shares the batch may group otherwise.
    """
    if rate == 0.0 or kernels.usable(x):
        seed = kernels.draw_seed(x, rate)
        return share.own_seed(seed) if grouped else seed, None
    lanes = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None, generator=_generator())
    kept = lanes.view(torch.int16)[: x.numel()] >= _dropped(rate) - LEVELS // 2
    return 0, kept.view(torch.uint8).view(x.shape)


def _generator() -> torch.Generator | None:
    """Where a batch is shared, one of this process alone: how much is drawn depends on its share."""
    if share.present() is None:
        return None
    return torch.Generator().manual_seed(share.own_seed(int(torch.randint(share.SEEDS, ()).item())))


def apply(x: torch.Tensor, rate: float, seed: int, mask: torch.Tensor | None, first: int = 0) -> torch.Tensor:
    """x without what was drawn, scaled so that the expectation holds; applied to gradients, its own backward.

    `first`: the element from which a seed's mask counts.
    """
    if rate == 0.0:
        return x
    if mask is None:
        return kernels.dropout(x.contiguous(), rate, seed, first)
    return (x * mask).mul_(LEVELS / (LEVELS - _dropped(rate)))


def _dropped(rate: float) -> int:
    return round(rate * LEVELS)


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.rate = rate
        ctx.seed, mask = draw(x, rate)
        ctx.first = share.first_of(x)
        ctx.save_for_backward(mask)
        return apply(x, rate, ctx.seed, mask, ctx.first)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (mask,) = ctx.saved_tensors
        return apply(grad, ctx.rate, ctx.seed, mask, ctx.first), None


def dropout(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Dropout at a rate (0: none); elements that stay are scaled so that the expectation holds."""
    if rate == 0.0:
        return x
    if device_kind(x.device) != "cpu" and not kernels.usable(x):
        return nn.functional.dropout(x, rate)
    out: torch.Tensor = _Dropout.apply(x, rate)
    return out


def rate_of(module: nn.Module) -> float:
    """The rate at which a dropout module drops now: 0 in evaluation, and for an Identity in its place."""
    return float(module.p) if isinstance(module, nn.Dropout) and module.training else 0.0
