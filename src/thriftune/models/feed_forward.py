"""A layer's feed-forward, as one node of autograd's graph where the compiled kernels do all of it but the products.

A node of its own for each operation would cost autograd's part of it, and Python's, every time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from thriftune.models import kernels
from thriftune.models.activation import activate, has_kernel
from thriftune.models.linear import linear
from thriftune.models.norm import add_norm, has_kernel_for
from thriftune.models.products import parameter_gradients, times


def feed_forward(
    up: Any,
    activation: Callable[[torch.Tensor], torch.Tensor],
    down: Any,
    norm: Any,
    x: torch.Tensor,
    rate: float,
) -> torch.Tensor:
    """`norm(x + dropout(down(activation(up(x)))))` for rows (rows, hidden)."""
    if is_one_node(up, activation, down, norm, x):
        weights = (up.weight, up.bias, down.weight, down.bias, norm.weight, norm.bias)
        out: torch.Tensor = _FeedForward.apply(x, *weights, norm.eps, rate)
        return out
    return add_norm(norm, linear(down, activate(activation, linear(up, x))), x, rate)


def is_one_node(
    up: nn.Module, activation: Callable[[torch.Tensor], torch.Tensor], down: nn.Module, norm: nn.Module, x: torch.Tensor
) -> bool:
    """Whether torch's own modules make the products and compiled kernels do what lies between and after them."""
    plain = all(type(module) is nn.Linear and module.weight.dtype == x.dtype for module in (up, down))
    return plain and has_kernel(activation, x) and has_kernel_for(norm, x)


class _FeedForward(torch.autograd.Function):
    """Saves what its four operations would."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        up: torch.Tensor,
        up_bias: torch.Tensor | None,
        down: torch.Tensor,
        down_bias: torch.Tensor | None,
        norm: torch.Tensor,
        norm_bias: torch.Tensor,
        eps: float,
        rate: float,
    ) -> torch.Tensor:
        ctx.rate, ctx.seed = rate, kernels.draw_seed(x, rate)
        x = x.contiguous()
        wide = times(x, up, True, up_bias)
        active = kernels.gelu(wide)
        product = times(active, down, True, down_bias)
        out, *sums = kernels.add_norm(product, x, norm, norm_bias, eps, rate, ctx.seed)
        x_needed, up_needed, up_bias_needed, down_needed, *_ = ctx.needs_input_grad
        below = x_needed or up_needed or up_bias_needed
        ctx.save_for_backward(
            x if up_needed else None,
            up if x_needed else None,
            wide if below else None,
            active if down_needed else None,
            down if below else None,
            *sums,
            norm,
        )
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, up, wide, active, down, total, mean, scale, norm = ctx.saved_tensors
        _, _, up_bias_needed, _, down_bias_needed, *norm_needed, _, _ = ctx.needs_input_grad
        grad, residual, *grads_norm = kernels.add_norm_backward(
            grad.contiguous(), total, mean, scale, norm, ctx.rate, ctx.seed, any(norm_needed)
        )
        grads_down = parameter_gradients(grad, active, down_bias_needed)
        grad_x: torch.Tensor | None = None
        grads_up: tuple[torch.Tensor | None, ...] = (None, None)
        if wide is not None:
            grad = kernels.gelu_backward(times(grad, down, False), wide)
            grads_up = parameter_gradients(grad, x, up_bias_needed)
            if up is not None:
                grad_x = times(grad, up, False).add_(residual)
        return grad_x, *grads_up, *grads_down, *grads_norm, None, None
