"""LayerNorm after a residual, which ends both halves of a layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from thriftune.models.ops import kernels, share
from thriftune.models.ops.dropout import dropout


class _AddNorm(torch.autograd.Function):
    """LayerNorm(residual + dropout(x)), in one compiled pass."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        residual: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
        eps: float,
        rate: float,
    ) -> torch.Tensor:
        ctx.rate, ctx.seed, ctx.first = rate, kernels.draw_seed(x, rate), share.first_of(x)
        out, *saved = kernels.add_norm(
            x.contiguous(), residual.contiguous(), weight, bias, eps, rate, ctx.seed, ctx.first
        )
        ctx.save_for_backward(*saved, weight)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        trained = ctx.needs_input_grad[2] or ctx.needs_input_grad[3]
        total, mean, scale, weight = ctx.saved_tensors
        grad = grad.contiguous()
        grads = kernels.add_norm_backward(grad, total, mean, scale, weight, ctx.rate, ctx.seed, trained, ctx.first)
        return *grads, None, None


def add_norm(norm: Any, x: torch.Tensor, residual: torch.Tensor, rate: float) -> torch.Tensor:
    """`norm(residual + dropout(x))` for rows (rows, hidden)."""
    if _has_kernel(norm, x, residual):
        if torch.is_inference_mode_enabled():
            seed = kernels.draw_seed(x, rate)
            return kernels.add_norm(
                x.contiguous(), residual.contiguous(), norm.weight, norm.bias, norm.eps, rate, seed
            )[0]
        out: torch.Tensor = _AddNorm.apply(x, residual, norm.weight, norm.bias, norm.eps, rate)
        return out
    normed: torch.Tensor = norm(residual + dropout(x, rate))
    return normed


def _has_kernel(norm: Any, x: torch.Tensor, residual: torch.Tensor) -> bool:
    """Whether a module is torch's LayerNorm, with weight and bias, over a width that the kernel takes."""
    plain = type(norm) is nn.LayerNorm and norm.normalized_shape == x.shape[1:] and norm.bias is not None
    wanted = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
    return (
        plain
        and norm.weight.dtype == wanted
        and kernels.usable(x, residual)
        and x.shape[1] % kernels.lanes(x) == 0
        and norm.weight.device == x.device
    )
