"""Applies a Linear module, plain or adapted: the one place that looks at its type."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from thriftune.models.device import device_kind
from thriftune.models.ops import products
from thriftune.models.ops.dropout import keep_mask, pack_bits, rate_of, unpack_bits


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
        inner = products.times(seen, down, True)
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
        grad_up = _across(grad, inner)
        grad_inner = products.times(grad, up, False).mul_(ctx.scaling * ctx.factor)
        mask = None if bits is None else unpack_bits(bits, ctx.shape)
        grad_down = grad_x = None
        if ctx.needs_input_grad[2]:
            grad_down = products.cross(grad_inner, x if mask is None else x * mask)
        if ctx.needs_input_grad[1]:
            grad_x = products.times(grad_inner, down, False)
            if mask is not None:
                grad_x.mul_(mask)
        return grad, grad_x, grad_down, grad_up, None, None


def linear(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """`module(x)` for rows x of shape (rows, in), keeping no more for backward than the gradients need.

    A plain Linear with frozen weights saves no input. A LoRA layer saves its input once, or not at all where its A
    is frozen. A tuner that is switched off is the module below it. Every other module, PEFT's other tuners among them,
    is called as it is.
    """
    module = _switched_on(module)
    if type(module) is nn.Linear:
        return products.affine(x, module.weight, module.bias)
    adapter = _plain_lora(module)
    if adapter is None or torch.is_autocast_enabled(x.device.type):
        out: torch.Tensor = module(x)
        return out
    lora: Any = module
    rate, scaling = rate_of(lora.lora_dropout[adapter]), float(lora.scaling[adapter])
    down, up = lora.lora_A[adapter].weight, lora.lora_B[adapter].weight
    result = products.affine(x, lora.base_layer.weight, lora.base_layer.bias)
    if device_kind(x.device) != "cpu":
        seen = nn.functional.dropout(x, rate) if rate > 0.0 else x
        return torch.addmm(result, seen @ down.t(), up.t(), alpha=scaling)
    updated: torch.Tensor = _LoraUpdate.apply(result, x, down, up, scaling, rate)
    return updated


def is_affine(module: nn.Module, x: torch.Tensor) -> bool:
    """Whether `module(x)` is a product with one weight and a bias, see `affine`."""
    if torch.is_autocast_enabled(x.device.type):
        return False
    module = _switched_on(module)
    adapter = _plain_lora(module)
    lora: Any = module
    return type(module) is nn.Linear if adapter is None else rate_of(lora.lora_dropout[adapter]) == 0.0


def affine(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The weight (out, in) and bias of a module that `is_affine`; LoRA's update is added to the weight."""
    module = _switched_on(module)
    adapter = _plain_lora(module)
    if adapter is None:
        assert type(module) is nn.Linear
        return module.weight, module.bias
    lora: Any = module
    down, up = lora.lora_A[adapter].weight, lora.lora_B[adapter].weight
    weight = torch.addmm(lora.base_layer.weight, up, down, alpha=float(lora.scaling[adapter]))
    return weight, lora.base_layer.bias


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
    same = frozen and base.weight.dtype == lora.lora_A[names[0]].weight.dtype
    return names[0] if same else None


class _Project(torch.autograd.Function):
    """Several frozen projections of one input, some with a LoRA update, as one product; saves x once.

    Arguments: x, the joint weight and bias, the width of each projection, the scaling of each (None: no update), then
    A and B of each update.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        sizes: tuple[int, ...],
        scalings: tuple[float | None, ...],
        *updates: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        inner, low = None, None
        if updates:
            inner = products.times(x, torch.cat(updates[::2]), True)
            ups = iter(zip(_by_update(inner, updates), updates[1::2], strict=True))
            blocks = []
            for size, scaling in zip(sizes, scalings, strict=True):
                if scaling is None:
                    blocks.append(weight.new_empty(size, 0))
                else:
                    part, up = next(ups)
                    part.mul_(scaling)
                    blocks.append(up)
            low = inner, torch.block_diag(*blocks)
        out: tuple[torch.Tensor, ...] = tuple(products.times(x, weight, True, bias, low).split(sizes, dim=1))
        ctx.scalings = scalings
        x_needed, _, _, _, _, *updates_needed = ctx.needs_input_grad
        ctx.save_for_backward(x if any(updates_needed[::2]) else None, weight if x_needed else None, inner, *updates)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        x, weight, inner, *updates = ctx.saved_tensors
        low, out = None, []
        if updates:
            inner_grads = []
            updated = [(grad, by) for grad, by in zip(grads, ctx.scalings, strict=True) if by is not None]
            for (grad, scaling), part, up in zip(updated, _by_update(inner, updates), updates[1::2], strict=True):
                inner_grads.append(products.times(grad, up, False).mul_(scaling))
                out += [None, _across(grad, part)]
            inner_grad = torch.cat(inner_grads, dim=1)
            if x is not None:
                out[::2] = products.cross(inner_grad, x).split([down.shape[0] for down in updates[::2]])
            low = inner_grad, torch.cat(updates[::2])
        grad_x = None if weight is None else products.times(_joined(grads), weight, False, low=low)
        return grad_x, None, None, None, None, *out


def _by_update(inner: torch.Tensor, updates: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    """The columns of (rows, sum of ranks) that belong to each A."""
    parts: tuple[torch.Tensor, ...] = inner.split([down.shape[0] for down in updates[::2]], dim=1)
    return parts


def _across(grad: torch.Tensor, inner: torch.Tensor) -> torch.Tensor:
    """grad' (out, rows) times inner (rows, rank), computed turned, the wide matrix on the right."""
    return products.cross(inner, grad).t().contiguous()


def _joined(parts: Sequence[torch.Tensor]) -> torch.Tensor:
    """Gradients (rows, out) side by side: without a copy where they are parts of one tensor."""
    width = sum(part.shape[1] for part in parts)
    rows_apart = all(part.stride() == (width, 1) for part in parts)
    if rows_apart and _adjacent(parts, parts[0].shape[1]):
        return parts[0].as_strided((parts[0].shape[0], width), (width, 1))
    return torch.cat(list(parts), dim=1)


def _adjacent(parts: Sequence[torch.Tensor], step: int) -> bool:
    """Whether tensors of one shape begin `step` elements apart in one storage."""
    first = parts[0]
    return all(
        part.untyped_storage()._cdata == first.untyped_storage()._cdata
        and part.storage_offset() == first.storage_offset() + index * step
        and part.shape == first.shape
        for index, part in enumerate(parts)
    )


def _gather(parameters: Sequence[nn.Parameter]) -> torch.Tensor:
    """Frozen weights (out, ..) as one (sum of outs, ..); those that lie apart move into one storage, for good."""
    first = parameters[0]
    if not _adjacent(parameters, first.numel()):
        # A storage made under inference mode would be one that training may not use.
        with torch.inference_mode(first.is_inference()), torch.no_grad():
            joint = torch.cat([parameter.detach() for parameter in parameters])
            for parameter, rows in zip(parameters, joint.split([len(p) for p in parameters]), strict=True):
                parameter.data = rows
    size = (sum(parameter.shape[0] for parameter in parameters), *first.shape[1:])
    return first.detach().as_strided(size, first.stride())


def project(modules: Sequence[nn.Module], x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """`linear` of several modules on the same rows; one matrix product where all are frozen and of one shape."""
    modules = [_switched_on(module) for module in modules]
    adapters = [_plain_lora(module) for module in modules]
    bases: list[Any] = [
        module if adapter is None else module.base_layer for module, adapter in zip(modules, adapters, strict=True)
    ]
    plain = all(type(base) is nn.Linear and not base.weight.requires_grad for base in bases)
    if not plain or torch.is_autocast_enabled(x.device.type) or not _alike(bases):
        return tuple(linear(module, x) for module in modules)
    scalings: list[float | None] = []
    updates: list[torch.Tensor] = []
    for module, adapter in zip(modules, adapters, strict=True):
        lora: Any = module
        if adapter is not None and rate_of(lora.lora_dropout[adapter]) > 0.0:
            return tuple(linear(other, x) for other in modules)
        scalings.append(None if adapter is None else float(lora.scaling[adapter]))
        updates += [] if adapter is None else [lora.lora_A[adapter].weight, lora.lora_B[adapter].weight]
    weight = _gather([base.weight for base in bases])
    bias = None if bases[0].bias is None else _gather([base.bias for base in bases])
    sizes = tuple(base.out_features for base in bases)
    out: tuple[torch.Tensor, ...] = _Project.apply(x, weight, bias, sizes, tuple(scalings), *updates)
    return out


def _alike(bases: Sequence[nn.Linear]) -> bool:
    first = bases[0]
    return all(
        base.weight.shape == first.weight.shape
        and (base.bias is None) == (first.bias is None)
        and (base.bias is None or not base.bias.requires_grad)
        for base in bases
    )
