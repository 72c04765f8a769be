"""Applies a Linear module, plain or adapted: the one place that looks at its type."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from thriftune.models.ops import products
from thriftune.models.ops.dropout import dropout, rate_of


def linear(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """`module(x)` for rows x of shape (rows, in); only a trained weight has its input saved for backward.

    Plain LoRA is PEFT's formula over our product. A tuner that is switched off is the module below it. Every other
    module, PEFT's other tuners among them, is called as it is.
    """
    module = _switched_on(module)
    if type(module) is nn.Linear:
        return products.affine(x, _beside(module.weight, x), module.bias)
    adapter = _plain_lora(module)
    if adapter is None or torch.is_autocast_enabled(x.device.type):
        out: torch.Tensor = module(x.float()).to(x.dtype) if _is_narrow(x) else module(x)
        return out
    lora: Any = module
    down, up = lora.lora_A[adapter].weight, lora.lora_B[adapter].weight
    base, scale, rate = lora.base_layer, float(lora.scaling[adapter]), rate_of(lora.lora_dropout[adapter])
    if _is_narrow(x):
        entered = dropout(x, rate) if rate > 0.0 else None
        adapted: torch.Tensor = _NarrowLora.apply(x, base.weight, base.bias, entered, down, up, scale)
        return adapted
    result = products.affine(x, _beside(base.weight, x), base.bias)
    return torch.addmm(result, products.affine(dropout(x, rate), down, None), up.t(), alpha=scale)


def _beside(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The weight as rows x meet it: one that is kept as bfloat16 is widened for others."""
    return weight.to(x.dtype) if weight.dtype == torch.bfloat16 else weight


def _rounded(weight: torch.Tensor, like: torch.Tensor, narrow: bool) -> torch.Tensor:
    return weight.to(torch.bfloat16).to(like.dtype) if narrow and not weight.requires_grad else _beside(weight, like)


def plain(module: nn.Module) -> bool:
    """Whether a tuner is PEFT's ordinary LoRA, which `linear` computes itself."""
    return _plain_lora(module) is not None


def _is_narrow(x: torch.Tensor) -> bool:
    """Whether rows are bfloat16 beside weights of float32, outside of autocast."""
    return x.dtype == torch.bfloat16 and not torch.is_autocast_enabled(x.device.type)


class _NarrowLora(torch.autograd.Function):
    """Rows of bfloat16 through a frozen Linear with LoRA's update beside it; `entered` are those that it gets, None
    where they are x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        entered: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
    ) -> torch.Tensor:
        same, entered = entered is None, x if entered is None else entered
        inner = products.times(entered, down)
        out = products.times(x, weight, bias)
        products.add_times(out, inner, up * scale)
        ctx.save_for_backward(weight, entered, down, up, inner)
        ctx.scale, ctx.same = scale, same
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        weight, entered, down, up, inner = ctx.saved_tensors
        through = products.back(grad, up * ctx.scale)
        grad_x = products.back(grad, weight) if ctx.needs_input_grad[0] else None
        grad_entered = products.back(through, down) if ctx.needs_input_grad[3] else None
        if ctx.same and grad_x is not None:
            products.add_back(grad_x, through, down)
        return (
            grad_x,
            None,
            None,
            grad_entered,
            products.gradient(through, entered),
            products.gradient(grad, inner).mul_(ctx.scale),
            None,
        )


def is_affine(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether `module(x)` is a product with one weight and a bias, see `affine`."""
    if torch.is_autocast_enabled(x.device.type):
        return False
    module = _switched_on(module)
    adapter = _plain_lora(module)
    lora: Any = module
    return type(module) is nn.Linear if adapter is None else rate_of(lora.lora_dropout[adapter]) == 0.0


def affine(module: nn.Module, like: torch.Tensor, narrow: bool = False) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The weight (out, in), of a tensor's dtype, and bias of a module that `is_affine`; LoRA's update is added.

    `narrow`: a frozen weight is rounded to bfloat16, whether it is kept so or not.
    """
    module = _switched_on(module)
    adapter = _plain_lora(module)
    if adapter is None:
        assert type(module) is nn.Linear
        return _rounded(module.weight, like, narrow), module.bias
    lora: Any = module
    down, up = lora.lora_A[adapter].weight, lora.lora_B[adapter].weight
    weight = torch.addmm(_rounded(lora.base_layer.weight, like, narrow), up, down, alpha=float(lora.scaling[adapter]))
    return weight, lora.base_layer.bias


def lora_update(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor, float] | None:
    """Down (rank, in), up (out, rank) and scale of ordinary LoRA over a Linear that is not merged; else None."""
    adapter = _plain_lora(module)
    if adapter is None:
        return None
    lora: Any = module
    return lora.lora_A[adapter].weight, lora.lora_B[adapter].weight, float(lora.scaling[adapter])


def _switched_on(module: nn.Module) -> nn.Module:
    """The module, or the one below it where it is a PEFT tuner with its adapters switched off."""
    # Where nothing has imported PEFT, no module is one of its tuners; importing it takes a quarter of a second.
    peft: Any = sys.modules.get("peft.tuners.tuners_utils")
    while peft and isinstance(module, peft.BaseTunerLayer) and module.disable_adapters and not module.merged:
        tuner: Any = module
        module = tuner.base_layer
    return module


def _plain_lora(module: nn.Module) -> str | None:
    """The adapter's name where a module is PEFT's ordinary LoRA layer over a frozen Linear, ready to train."""
    peft: Any = sys.modules.get("peft.tuners.lora")
    if not peft or type(module) is not peft.Linear or module.merged:
        return None
    lora: Any = module
    names: list[str] = [name for name in lora.active_adapters if name in lora.lora_A]
    if len(names) != 1 or names[0] in lora.lora_variant or lora.lora_bias[names[0]]:
        return None
    base = lora.base_layer
    frozen = type(base) is nn.Linear and not any(p.requires_grad for p in base.parameters())
    same = frozen and base.weight.dtype in (lora.lora_A[names[0]].weight.dtype, torch.bfloat16)
    return names[0] if same else None
