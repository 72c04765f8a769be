"""The feed-forward's activation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers.activations import GELUActivation, NewGELUActivation

from thriftune.models.ops import kernels


class _Gelu(torch.autograd.Function):
    """x Phi(x), in one compiled pass; saves x."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        ctx.save_for_backward(x)
        return kernels.gelu(x)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return kernels.gelu_backward(grad.contiguous(), *ctx.saved_tensors)


def activate(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """`function(x)`, an exact GELU by the compiled kernel where it applies, the approximate one in one operation."""
    if has_kernel(function, x):
        if torch.is_inference_mode_enabled():
            return kernels.gelu(x.contiguous())
        out: torch.Tensor = _Gelu.apply(x)
        return out
    if type(function) is NewGELUActivation:
        return nn.functional.gelu(x, approximate="tanh")
    return function(x)


def has_kernel(function: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> bool:
    """Whether the compiled kernel computes this activation of x."""
    return _is_gelu(function) and kernels.usable(x)


def _is_gelu(function: Any) -> bool:
    """Whether an activation is GELU without approximation, in transformers' or torch's module."""
    if type(function) is nn.GELU:
        return bool(function.approximate == "none")
    return type(function) is GELUActivation and function.act is nn.functional.gelu
