"""What follows a layer's attention, as two nodes of autograd's graph where the compiled kernels do all of it.

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
from thriftune.models.products import times


def add_product(
    module: nn.Module, norm: nn.Module, x: torch.Tensor, residual: torch.Tensor, rate: float
) -> torch.Tensor:
    """`norm(residual + dropout(module(x)))` for rows x (rows, in) and residual (rows, hidden)."""
    if is_one_node((module,), norm, residual):
        out: torch.Tensor = _AddProduct.apply(x, residual, *_parameters(module, norm), rate)
        return out
    return add_norm(norm, linear(module, x), residual, rate)


def feed_forward(
    up: nn.Module,
    activation: Callable[[torch.Tensor], torch.Tensor],
    down: nn.Module,
    norm: nn.Module,
    x: torch.Tensor,
    rate: float,
) -> torch.Tensor:
    """`norm(x + dropout(down(activation(up(x)))))` for rows (rows, hidden)."""
    if is_one_node((up, down), norm, x) and has_kernel(activation, x):
        out: torch.Tensor = _FeedForward.apply(x, *_parameters(up, down, norm), rate)
        return out
    return add_norm(norm, linear(down, activate(activation, linear(up, x))), x, rate)


def is_one_node(products: tuple[nn.Module, ...], norm: nn.Module, x: torch.Tensor) -> bool:
    """Whether torch's own modules make the products and the compiled kernel closes with dropout and LayerNorm."""
    plain = all(type(module) is nn.Linear and module.weight.dtype == x.dtype for module in products)
    return plain and has_kernel_for(norm, x)


def _parameters(*modules: Any) -> list[Any]:
    """Weight and bias of each; the last one's are followed by what it adds to a variance."""
    return [tensor for module in modules for tensor in (module.weight, module.bias)] + [modules[-1].eps]


class _AddProduct(torch.autograd.Function):
    """A product, dropout, the residual and LayerNorm."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        residual: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        norm: torch.Tensor,
        norm_bias: torch.Tensor,
        eps: float,
        rate: float,
    ) -> torch.Tensor:
        ctx.rate, ctx.seed = rate, kernels.draw_seed(x) if rate > 0.0 else 0
        product = times(x, weight, True, bias)
        out, *sums = kernels.add_norm(product, residual.contiguous(), norm, norm_bias, eps, rate, ctx.seed)
        x_needed, _, weight_needed, *_ = ctx.needs_input_grad
        ctx.save_for_backward(x if weight_needed else None, weight if x_needed else None, *sums, norm)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, weight, total, mean, scale, norm = ctx.saved_tensors
        _, _, _, bias_needed, *norm_needed, _, _ = ctx.needs_input_grad
        grad, residual, *grads_norm = kernels.add_norm_backward(
            grad.contiguous(), total, mean, scale, norm, ctx.rate, ctx.seed, any(norm_needed)
        )
        grad_x = None if weight is None else times(grad, weight, False)
        return grad_x, residual, *_of_parameters(grad, x, bias_needed), *grads_norm, None, None


class _FeedForward(torch.autograd.Function):
    """A product, GELU, a second product, dropout, the residual and LayerNorm."""

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
        ctx.rate, ctx.seed = rate, kernels.draw_seed(x) if rate > 0.0 else 0
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
        grads_down = _of_parameters(grad, active, down_bias_needed)
        grad_x: torch.Tensor | None = None
        grads_up: tuple[torch.Tensor | None, ...] = (None, None)
        if wide is not None:
            grad = kernels.gelu_backward(times(grad, down, False), wide)
            grads_up = _of_parameters(grad, x, up_bias_needed)
            if up is not None:
                grad_x = times(grad, up, False).add_(residual)
        return grad_x, *grads_up, *grads_down, *grads_norm, None, None


def _of_parameters(
    grad: torch.Tensor, rows: torch.Tensor | None, bias_too: bool
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Gradients of a weight (out, in), where its rows are there, and of a bias, from those of the output."""
    return None if rows is None else grad.t() @ rows, grad.sum(0) if bias_too else None
