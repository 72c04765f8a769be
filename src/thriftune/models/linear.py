"""Applies a Linear module, plain or adapted: the one place that looks at its type."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from thriftune.models.device import device_kind
from thriftune.models.dropout import keep_mask, pack_bits, rate_of, unpack_bits


class _LoraUpdate(torch.autograd.Function):
    """base + scaling * dropout(x) A' B'; saves x (shared by every update that reads it), the mask's bits and x A'.

    With A frozen (LoRA-FA) x A' alone is saved, and the mask's bits where x needs a gradient. `base` is written in
    place: it comes fresh from a frozen Linear, which saves nothing of it.
    """

    @staticmethod
    def forward(
        ctx: Any,
        base: torch.Tensor,
        x: torch.Tensor,
        down: torch.Tensor,
        up: torch.Tensor,
        scaling: float,
        rate: float,
    ) -> torch.Tensor:
        bits, factor, seen = None, 1.0, x
        if rate > 0.0:
            mask, factor = keep_mask(x.numel(), rate)
            bits = pack_bits(mask)
            seen = x * mask.view(x.shape)
        inner = seen @ down.t()
        inner.mul_(scaling * factor)
        ctx.scaling, ctx.factor, ctx.shape = scaling, factor, x.shape
        _, x_needed, down_needed, *_ = ctx.needs_input_grad
        kept_bits = bits if x_needed or down_needed else None
        ctx.save_for_backward(x if down_needed else None, down, up, inner, kept_bits)
        ctx.mark_dirty(base)
        return base.addmm_(inner, up.t())

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, down, up, inner, bits = ctx.saved_tensors
        grad_up = grad.t() @ inner
        grad_inner = (grad @ up).mul_(ctx.scaling * ctx.factor)
        mask = None if bits is None else unpack_bits(bits, ctx.shape)
        grad_down = grad_x = None
        if ctx.needs_input_grad[2]:
            grad_down = grad_inner.t() @ (x if mask is None else x * mask)
        if ctx.needs_input_grad[1]:
            grad_x = grad_inner @ down
            if mask is not None:
                grad_x.mul_(mask)
        return grad, grad_x, grad_down, grad_up, None, None


def linear(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """`module(x)` for rows x of shape (rows, in), keeping no more for backward than the gradients need.

    A plain Linear with frozen weights saves no input. A LoRA layer saves its input once, or not at all where its A
    is frozen. Every other module, PEFT's other tuners among them, is called as it is.
    """
    if type(module) is nn.Linear:
        return nn.functional.linear(x, module.weight, module.bias)
    adapter = _plain_lora(module)
    if adapter is None or torch.is_autocast_enabled(x.device.type):
        out: torch.Tensor = module(x)
        return out
    lora: Any = module
    rate, scaling = rate_of(lora.lora_dropout[adapter]), float(lora.scaling[adapter])
    down, up = lora.lora_A[adapter].weight, lora.lora_B[adapter].weight
    result = nn.functional.linear(x, lora.base_layer.weight, lora.base_layer.bias)
    if device_kind(x.device) != "cpu":
        seen = nn.functional.dropout(x, rate) if rate > 0.0 else x
        return torch.addmm(result, seen @ down.t(), up.t(), alpha=scaling)
    updated: torch.Tensor = _LoraUpdate.apply(result, x, down, up, scaling, rate)
    return updated


def _plain_lora(module: nn.Module) -> str | None:
    """The adapter's name where a module is PEFT's ordinary LoRA layer over a frozen Linear, ready to train."""
    from peft.tuners.lora import Linear as LoraLinear

    if type(module) is not LoraLinear or module.merged or module.disable_adapters:
        return None
    names = [name for name in module.active_adapters if name in module.lora_A]
    if len(names) != 1 or names[0] in module.lora_variant or module.lora_bias[names[0]]:
        return None
    base = module.base_layer
    frozen = type(base) is nn.Linear and not any(p.requires_grad for p in base.parameters())
    same = frozen and base.weight.dtype == module.lora_A[names[0]].weight.dtype
    return names[0] if same else None
