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


def times(
    rows: torch.Tensor,
    weight: torch.Tensor,
    turned: bool,
    bias: torch.Tensor | None = None,
    low: tuple[torch.Tensor, torch.Tensor] | None = None,
) -> torch.Tensor:
    """What `kernels.product` computes, outside of autograd."""
    if kernels.multiplies(rows, weight, turned):
        return kernels.product(_dense(rows), weight, turned, bias, low and (_dense(low[0]), low[1]))
    if turned and only_predicted(rows, weight):
        out = _wide(rows, weight, bias)
        return out if low is None else out.addmm_(low[0], low[1].t())
    if not turned and weight.shape[1] <= kernels.MOST_COLUMNS:
        # torch's library is slow where the narrow matrix is not turned; a dense copy of it costs less.
        weight, turned = weight.t().contiguous(), True
        low = low and (low[0], low[1].t())
    plain = weight.t() if turned else weight
    out = rows @ plain if bias is None else torch.addmm(bias, rows, plain)
    return out if low is None else out.addmm_(low[0], low[1].t() if turned else low[1])


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
    out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(_dense(rows), weight, bias, "none", [], "")
    return out


def cross(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """left' right, (few, many), of left (rows, few) and right (rows, many)."""
    if kernels.crosses(left, right):
        return kernels.cross(_dense(left), _dense(right))
    return left.t() @ right


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
        return times(rows, weight, True, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        rows, weight = ctx.saved_tensors
        return (
            None if weight is None else times(grad, weight, False),
            None if rows is None else grad.t() @ rows,
            grad.sum(0) if ctx.needs_input_grad[2] else None,
        )


def _dense(rows: torch.Tensor) -> torch.Tensor:
    """The rows themselves, each of them contiguous."""
    return rows if rows.stride(1) == 1 else rows.contiguous()
