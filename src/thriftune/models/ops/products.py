"""Rows times a weight, forward and backward: by the compiled kernel where it is the faster one, else by torch.

On AMD's processors with AVX-512 torch's matrix library (MKL) runs at half their width, and oneDNN, which torch carries
too, at all of it: it takes what is only predicted. Training keeps to one library, forward and backward.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from thriftune.models.ops import kernels

ORDERED = "_thriftune_ordered"
"""Attribute of a weight: the same numbers in oneDNN's order."""
ROWS = 16
"""For so many rows the order is chosen; it serves any number."""


def only_predicted(rows: torch.Tensor, weight: torch.Tensor) -> bool:
    """Whether no gradient will be asked for and oneDNN is the faster library for such rows (rows, in), float32."""
    return (
        torch.is_inference_mode_enabled()
        and wide_library()
        and rows.dtype == weight.dtype == torch.float32
        and type(rows) is torch.Tensor
        and rows.device.type == weight.device.type == "cpu"
        and rows.ndim == 2
        and min(rows.shape) > 0
        and not torch.is_autocast_enabled("cpu")
    )


@cache
def wide_library() -> bool:
    """Whether this processor is one where oneDNN is much faster than torch's matrix library."""
    has = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    return has and kernels.instructions() == "AVX512" and _made_by_amd()


def _made_by_amd() -> bool:
    try:
        return "AuthenticAMD" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def _wide(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    own = getattr(weight, ORDERED, weight)
    out: torch.Tensor = torch.ops.mkldnn._linear_pointwise.default(_dense(rows), own, bias, "none", [], "")
    return out


def keep_ordered(module: nn.Module) -> None:
    """Keeps the weights of a module's Linears in oneDNN's order too, which few rows would else be most of the work.

    For weights that change no more: it takes their memory a second time, where `only_predicted` may hold; elsewhere
    it does nothing.
    """
    if not (wide_library() and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")):
        return
    for each in module.modules():
        weight = each.weight if type(each) is nn.Linear else None
        if weight is None or weight.dtype != torch.float32 or weight.device.type != "cpu" or not weight.numel():
            continue
        if not hasattr(weight, ORDERED):
            setattr(weight, ORDERED, torch.ops.mkldnn._reorder_linear_weight(weight.detach(), ROWS))


def ordered_bytes(module: nn.Module) -> int:
    """What `keep_ordered` holds beside a module's weights."""
    return sum(p.numel() * p.element_size() for p in module.parameters() if hasattr(p, ORDERED))


def affine(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    """Rows (rows, in) times a weight (out, in), plus bias; saves the rows only where the weight is trained."""
    if only_predicted(rows, weight):
        return _wide(rows, weight, bias)
    if kernels.multiplies(rows, weight, True):
        out: torch.Tensor = _Affine.apply(rows, weight, bias)
        return out
    return nn.functional.linear(rows, weight, bias)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows_needed, weight_needed, _ = ctx.needs_input_grad
        ctx.save_for_backward(rows if weight_needed else None, weight if rows_needed else None)
        return kernels.product(_dense(rows), weight, True, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        rows, weight = ctx.saved_tensors
        return (
            None if weight is None else _turned(grad, weight),
            None if rows is None else grad.t() @ rows,
            grad.sum(0) if ctx.needs_input_grad[2] else None,
        )


def _turned(grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The gradient of the rows: (rows, out) times (out, in)."""
    return kernels.product(_dense(grad), weight, False) if kernels.multiplies(grad, weight, False) else grad @ weight


def _dense(rows: torch.Tensor) -> torch.Tensor:
    """The rows themselves, each of them contiguous."""
    return rows if rows.stride(1) == 1 else rows.contiguous()
