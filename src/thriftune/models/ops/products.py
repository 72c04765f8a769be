"""Rows times a weight, forward and backward: by a compiled kernel where one is the fastest, else by torch.

On AMD's processors with AVX-512 torch's matrix library (MKL) runs at half their width. oneDNN, which torch carries too,
runs at all of it, but compiles a program for every number of rows, which is another one in every batch: it takes few
rows through weights that it has in its own order, and what is only predicted where there are no kernels.

Rows of bfloat16 come out as such, with sums and bias in float32; weights stay float32 and are rounded on the way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import nn

from thriftune.models.ops import kernels

ORDERED = "_thriftune_ordered"
"""Attribute of a weight: the same numbers in oneDNN's order."""
ROWS = 16
"""For so many rows the order is chosen; it serves any number."""
FEW = 48
"""Up to so many rows an ordered weight is the faster one: packing it anew is much of a kernel's work."""


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
    return has and kernels.instructions() == "AVX512" and kernels.made_by_amd()


def _by_onednn(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
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
    if only_predicted(rows, weight) and (not kernels.widens(rows, weight) or _few_ordered(rows, weight)):
        return _by_onednn(rows, weight, bias)
    if torch.is_inference_mode_enabled() and kernels.widens(rows, weight):
        return kernels.wide(rows, weight, bias, right_turned=True, narrow=_narrow(rows))
    if _narrow(rows) or kernels.widens(rows, weight) or kernels.multiplies(rows, weight, True):
        out: torch.Tensor = _Affine.apply(rows, weight, bias)
        return out
    return nn.functional.linear(rows, weight, bias)


def _few_ordered(rows: torch.Tensor, weight: torch.Tensor) -> bool:
    return len(rows) <= FEW and hasattr(weight, ORDERED)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        rows_needed, weight_needed, _ = ctx.needs_input_grad
        ctx.save_for_backward(rows if weight_needed else None, weight if rows_needed else None)
        return times(_dense(rows), weight, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        rows, weight = ctx.saved_tensors
        return (
            None if weight is None else back(grad, weight),
            None if rows is None else gradient(grad, rows),
            column_sums(grad) if ctx.needs_input_grad[2] else None,
        )


def times(rows: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Rows (rows, in) times a weight (out, in), plus bias, in the rows' dtype; without a gradient."""
    if kernels.widens(rows, weight):
        return kernels.wide(rows, weight, bias, right_turned=True, narrow=_narrow(rows))
    if kernels.multiplies(rows, weight, True):
        return kernels.product(rows, weight, True, bias)
    out = nn.functional.linear(rows, weight.to(rows.dtype))
    return out if bias is None else out.add_(bias)


def add_times(out: torch.Tensor, rows: torch.Tensor, weight: torch.Tensor) -> None:
    """Adds rows (rows, in) times a weight (out, in) to `out`, (rows, out), of the rows' dtype."""
    if kernels.widens(rows, weight):
        kernels.wide_add(out, rows, weight, right_turned=True)
    else:
        out.addmm_(rows, weight.to(rows.dtype).t())


def back(grad: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The gradient of the rows: (rows, out) times (out, in)."""
    grad = _dense(grad)
    if kernels.widens(grad, weight):
        return kernels.wide(grad, weight, narrow=_narrow(grad))
    if kernels.multiplies(grad, weight, False):
        return kernels.product(grad, weight, False)
    return grad @ weight.to(grad.dtype)


def add_back(out: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor) -> None:
    """Adds `back` of the same gradient to `out`."""
    if kernels.widens(grad, weight):
        kernels.wide_add(out, grad, weight)
    else:
        out.addmm_(grad, weight.to(grad.dtype))


def gradient(grad: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The gradient of the weight, (out, in): (rows, out) turned, times (rows, in); float32 of bfloat16."""
    grad, rows = _dense(grad), _dense(rows)
    if kernels.widens(grad, rows):
        return kernels.wide(grad, rows, left_turned=True)
    out = grad.t() @ rows
    return out.float() if _narrow(rows) else out


def column_sums(grad: torch.Tensor) -> torch.Tensor:
    """The gradient of a bias: the sums of (rows, out) over the rows, float32 of bfloat16.

    torch would turn all rows of bfloat16 into float32 first.
    """
    if not _narrow(grad):
        return grad.sum(0)
    if kernels.usable(grad) and grad.stride(1) == 1:
        return kernels.column_sums(grad)
    return grad.sum(0, dtype=torch.float32)


def _narrow(rows: torch.Tensor) -> bool:
    return rows.dtype == torch.bfloat16


def _dense(rows: torch.Tensor) -> torch.Tensor:
    """The rows themselves, each of them contiguous."""
    return rows if rows.stride(1) == 1 else rows.contiguous()
