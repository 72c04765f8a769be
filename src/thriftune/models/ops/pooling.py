"""The last layer's attention where one token is read: no keys and values, the rows themselves are attended to.

A score is q_h . (W_k x + b_k) = (W_k,h' q_h) . x + q_h . b_k, and the last term, the same for every key, falls out of
the softmax; a result is W_v,h (sum of p x) + b_v,h (sum of p). So the two projections run once per text and head
instead of once per row.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from thriftune.models.ops import kernels, share
from thriftune.models.ops.attention import Bias, RelativeBias
from thriftune.models.ops.linear import affine, is_affine
from thriftune.models.ops.rows import Rows


class _Pool(torch.autograd.Function):
    """`kernels.Pool`; saves queries and rows. The bias of the keys gets its gradient, which is zero."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        rows: torch.Tensor,
        key_bias: torch.Tensor | None,
        bias: torch.Tensor | None,
        pool: kernels.Pool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        query, rows = query.contiguous(), rows.contiguous()
        ctx.pool, ctx.sizes = pool, None if key_bias is None else key_bias.shape
        ctx.save_for_backward(query, rows, bias)
        return pool.forward(query, rows, bias)

    @staticmethod
    def backward(  # type: ignore[override]
        ctx: Any, grad: torch.Tensor, grad_sums: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        grads = (grad.contiguous(), grad_sums.contiguous())
        _, rows_too, key_bias_too, bias_too, _ = ctx.needs_input_grad
        query, rows, bias = ctx.saved_tensors
        grad_query, grad_rows, grad_bias = ctx.pool.backward(*grads, query, rows, rows_too, bias, bias_too)
        return grad_query, grad_rows, grad.new_zeros(ctx.sizes) if key_bias_too else None, grad_bias, None


def can_pool(key: nn.Module, value: nn.Module, hidden: torch.Tensor, bias: Bias | None) -> bool:
    """Whether the projections are plain matrices here and the compiled kernel takes the rows and the bias."""
    wanted = torch.float32 if hidden.dtype == torch.bfloat16 else hidden.dtype
    if bias is not None and not (isinstance(bias, RelativeBias) and bias.table.dtype == wanted):
        return False
    return (
        kernels.usable(hidden)
        and hidden.shape[1] % kernels.lanes(hidden) == 0
        and is_affine(key, hidden)
        and is_affine(value, hidden)
    )


def pooled_attention(
    query: torch.Tensor,
    key: nn.Module,
    value: nn.Module,
    hidden: torch.Tensor,
    rows: Rows,
    heads: int,
    scale: float,
    rate: float,
    bias: RelativeBias | None = None,
) -> torch.Tensor:
    """Attention of one query per text, (texts, heads * size), to its rows of (rows, hidden): (texts, heads * size).

    Rows of bfloat16 are attended to in float32.
    """
    dtype = query.dtype
    narrow = dtype == torch.bfloat16
    if narrow:
        query, hidden = query.float(), hidden.float()
    keys, values = affine(key, hidden, narrow), affine(value, hidden, narrow)
    seed = kernels.draw_seed(query, rate)
    by_head = query.unflatten(1, (heads, -1)).transpose(0, 1)
    across = torch.bmm(by_head, keys[0].unflatten(0, (heads, -1)))
    table, zero = (None, 0) if bias is None else (bias.table, bias.width - 1)
    whole = share.present() if rate > 0.0 else None
    first = 0 if whole is None else whole.before(heads, kernels.lanes(hidden), queries_too=False)
    pool = kernels.Pool(rows.starts, rows.lengths, scale, rate, seed, zero, first)
    pooled, sums = _Pool.apply(across, hidden, keys[1], table, pool)
    out = torch.bmm(pooled, values[0].unflatten(0, (heads, -1)).transpose(1, 2)).transpose(0, 1).flatten(1)
    if values[1] is not None:
        out = out + (sums.unsqueeze(2) * values[1].unflatten(0, (heads, -1))).flatten(1)
    return out.to(dtype)
