"""Attention over packed rows: only queries, keys and values are padded, group by group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from thriftune.models.dropout import keep_mask, pack_bits, unpack_bits
from thriftune.models.rows import Group, Rows, pad, take, unpad

Bias = Callable[[torch.Tensor, torch.Tensor, Group], torch.Tensor]
"""Makes scores to add, (texts, heads, queries, width), from padded queries and keys (texts, heads, *, size)."""


class _Attend(torch.autograd.Function):
    """softmax(scale q k' + bias) with dropout, times v; saves the probabilities once, and dropout's mask as bits.

    Source: Vaswani et al. 2017, arXiv:1706.03762. `blocked` is True where a key must not be seen.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None,
        blocked: torch.Tensor | None,
        scale: float,
        rate: float,
    ) -> torch.Tensor:
        scores = torch.matmul(query * scale, key.transpose(-1, -2))
        if bias is not None:
            scores += bias
        if blocked is not None:
            scores.masked_fill_(blocked, torch.finfo(scores.dtype).min)
        probabilities = scores.softmax(dim=-1)
        ctx.scale, ctx.factor, bits = scale, 1.0, None
        kept = probabilities
        if rate > 0.0:
            mask, ctx.factor = keep_mask(probabilities.numel(), rate)
            bits = pack_bits(mask)
            kept = (probabilities * mask.view(probabilities.shape)).mul_(ctx.factor)
        ctx.save_for_backward(query, key, value, probabilities, bits)
        return torch.matmul(kept, value)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        query, key, value, probabilities, bits = ctx.saved_tensors
        kept = probabilities
        inner = torch.matmul(grad, value.transpose(-1, -2))
        if bits is not None:
            mask = unpack_bits(bits, probabilities.shape)
            kept = (probabilities * mask).mul_(ctx.factor)
            inner.mul_(mask).mul_(ctx.factor)
        grad_value = torch.matmul(kept.transpose(-1, -2), grad)
        del kept
        scores = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
        grad_query = torch.matmul(scores, key).mul_(ctx.scale)
        grad_key = torch.matmul(scores.transpose(-1, -2), query).mul_(ctx.scale)
        grad_bias = scores if ctx.needs_input_grad[3] else None
        return grad_query, grad_key, grad_value, grad_bias, None, None, None


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    bias: torch.Tensor | None,
    mask: torch.Tensor | None,
    scale: float,
    rate: float,
) -> torch.Tensor:
    """Attention of padded tensors (texts, heads, tokens, size); `mask` is True where a key may be seen."""
    if query.device.type == "cpu":
        blocked = None if mask is None else ~mask
        out: torch.Tensor = _Attend.apply(query, key, value, bias, blocked, scale, rate)
        return out
    if bias is not None and mask is not None:
        bias = bias.masked_fill(~mask, torch.finfo(bias.dtype).min)
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=mask if bias is None else bias, dropout_p=rate, scale=scale
    )


def packed_attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    rows: Rows,
    heads: int,
    scale: float,
    rate: float,
    first_only: bool,
    bias: Bias | None = None,
    window: int | None = None,
) -> torch.Tensor:
    """Self-attention inside each text: (rows, heads * size) -> the same; (texts, ...) if `first_only`.

    With `first_only` the queries are those of the first tokens alone, (texts, heads * size). `window`: keys
    farther away than this are not seen.
    """
    out = []
    for group in rows.groups:
        own = slice(group.first_row, group.first_row + group.rows)
        texts = slice(group.first_text, group.first_text + group.texts)
        q = query[texts].unsqueeze(1) if first_only else pad(query[own], group)
        q, k, v = (_heads(part, heads) for part in (q, pad(key[own], group), pad(value[own], group)))
        mask = group.mask if window is None else _near(group, window, first_only, query.device)
        added = None if bias is None else bias(q, k, group)
        attended = attend(q, k, v, added, mask, scale, rate).transpose(1, 2).flatten(2)
        out.append(attended.squeeze(1) if first_only else unpad(attended, group))
    return out[0] if len(out) == 1 else torch.cat(out)


def _heads(padded: torch.Tensor, heads: int) -> torch.Tensor:
    """(texts, tokens, heads * size) -> (texts, heads, tokens, size)."""
    return padded.unflatten(-1, (heads, -1)).transpose(1, 2)


def _near(group: Group, window: int, first_only: bool, device: torch.device) -> torch.Tensor | None:
    """The group's mask without the keys that are too far from their query."""
    if group.width <= window + 1:
        return group.mask
    places = torch.arange(group.width, device=device)
    queries = places[:1] if first_only else places
    near = (queries[:, None] - places[None, :]).abs() <= window
    return near if group.mask is None else near & group.mask


def first_rows(hidden: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The rows of the first tokens: (rows, hidden) -> (texts, hidden)."""
    return take(hidden, rows.starts)
