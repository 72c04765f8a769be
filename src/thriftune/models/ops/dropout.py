"""Dropout that draws and saves little: on a CPU torch's own is 10-20% of a training step.

With the compiled kernels a mask is a function of one seed and nothing is saved. Without them one 64-bit draw decides
four elements with 16 bits each, so a rate is met to within 1/65536, and a mask is saved as bits. The scale is the one
of the rate in force. A GPU has fused kernels of its own and uses them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from thriftune.models.device import device_kind
from thriftune.models.ops import kernels

LEVELS = 1 << 16


def keep_mask(count: int, rate: float) -> tuple[torch.Tensor, float]:
    """(count,) uint8, 1 where an element stays, and the factor that keeps its expectation.

    Draws from torch's default CPU generator.
    """
    dropped = round(rate * LEVELS)
    lanes = torch.empty((count + 3) // 4, dtype=torch.int64).random_(-(1 << 63), None).view(torch.int16)[:count]
    return (lanes >= dropped - LEVELS // 2).view(torch.uint8), LEVELS / (LEVELS - dropped)


# As operators they are seen by what counts memory, and have shapes without data.
_library = torch.library.Library("thriftune", "DEF")
_library.define("pack_bits(Tensor mask) -> Tensor")
_library.define("unpack_bits(Tensor bits, int count) -> Tensor")
_library.impl("pack_bits", lambda mask: torch.from_numpy(np.packbits(mask.numpy())), "CPU")
_library.impl("pack_bits", lambda mask: mask.new_empty((mask.numel() + 7) // 8), "Meta")
_library.impl("unpack_bits", lambda bits, count: torch.from_numpy(np.unpackbits(bits.numpy(), count=count)), "CPU")
_library.impl("unpack_bits", lambda bits, count: bits.new_empty(count), "Meta")


def pack_bits(mask: torch.Tensor) -> torch.Tensor:
    """A uint8 mask of zeros and ones as one bit per element."""
    bits: torch.Tensor = torch.ops.thriftune.pack_bits(mask)
    return bits


def unpack_bits(bits: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """The reverse of `pack_bits`: uint8 of the given shape."""
    mask: torch.Tensor = torch.ops.thriftune.unpack_bits(bits, shape.numel())
    return mask.view(shape)


class _BitDropout(torch.autograd.Function):
    """Multiplies by a random mask and saves it as bits."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rate: float) -> torch.Tensor:
        mask, ctx.factor = keep_mask(x.numel(), rate)
        ctx.shape = x.shape
        ctx.save_for_backward(pack_bits(mask))
        return (x * mask.view(x.shape)).mul_(ctx.factor)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        (bits,) = ctx.saved_tensors
        return (grad * unpack_bits(bits, ctx.shape)).mul_(ctx.factor), None


class _SeedDropout(torch.autograd.Function):
    """Multiplies by a random mask and saves only the seed that it was made from."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, rate: float) -> torch.Tensor:
        ctx.rate, ctx.seed = rate, kernels.draw_seed(x, rate)
        return kernels.dropout(x.contiguous(), rate, ctx.seed)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
        return kernels.dropout(grad.contiguous(), ctx.rate, ctx.seed), None


def dropout(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Dropout at a rate (0: none); elements that stay are scaled so that the expectation holds."""
    if rate == 0.0:
        return x
    if kernels.usable(x):
        seeded: torch.Tensor = _SeedDropout.apply(x, rate)
        return seeded
    if device_kind(x.device) != "cpu":
        return nn.functional.dropout(x, rate)
    out: torch.Tensor = _BitDropout.apply(x, rate)
    return out


class _DropoutAdd(torch.autograd.Function):
    """residual + dropout(x): one pass less than the two apart."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, residual: torch.Tensor, rate: float) -> torch.Tensor:
        mask, ctx.factor = keep_mask(x.numel(), rate)
        ctx.shape = x.shape
        ctx.save_for_backward(pack_bits(mask))
        return torch.add(residual, x * mask.view(x.shape), alpha=ctx.factor)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        (bits,) = ctx.saved_tensors
        return (grad * unpack_bits(bits, ctx.shape)).mul_(ctx.factor), grad, None


def dropout_add(x: torch.Tensor, residual: torch.Tensor, rate: float) -> torch.Tensor:
    """residual + dropout(x)."""
    if rate == 0.0 or device_kind(x.device) != "cpu" or kernels.usable(x):
        return residual + dropout(x, rate)
    out: torch.Tensor = _DropoutAdd.apply(x, residual, rate)
    return out


def rate_of(module: nn.Module) -> float:
    """The rate at which a dropout module drops now: 0 in evaluation, and for an Identity in its place."""
    return float(module.p) if isinstance(module, nn.Dropout) and module.training else 0.0
