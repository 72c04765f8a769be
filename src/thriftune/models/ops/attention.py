"""Attention over packed rows: by a compiled kernel, or by torch's operations on padded queries, keys and values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from thriftune.models.device import device_kind
from thriftune.models.ops import dropout, kernels, share
from thriftune.models.ops.rows import Group, Rows, pad, take, unpad

Bias = Callable[[torch.Tensor, torch.Tensor, Group], torch.Tensor]
"""Makes scores to add, (texts, heads, queries, width), from padded queries and keys (texts, heads, *, size)."""


@dataclass(frozen=True)
class RelativeBias:
    """A `Bias` that depends on the head and on the distance key - query alone."""

    table: torch.Tensor
    """(heads, distances), contiguous: the scores to add for `distances(width)`."""
    width: int
    """Tokens of the longest text."""

    @staticmethod
    def distances(width: int, device: torch.device) -> torch.Tensor:
        """From -(width - 1) up to beyond width - 1: the kernel reads whole vectors."""
        return torch.arange(1 - width, width + 2 * kernels.MOST_LANES, device=device)

    def __call__(self, query: torch.Tensor, key: torch.Tensor, group: Group) -> torch.Tensor:
        """(texts, heads, queries, width); a single query is that of the first token."""
        middle, width, queries = self.width - 1, group.width, query.shape[2]
        reached = self.table[:, middle - queries + 1 : middle + width]
        out = reached.unfold(1, width, 1).flip(1) if queries > 1 else reached.unsqueeze(1)
        return out.to(query.dtype).expand(group.texts, -1, -1, -1)


class _KernelAttend(torch.autograd.Function):
    """Attention in one compiled pass; saves queries, keys and values alone and computes the probabilities again."""

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None,
        attention: kernels.Attention,
    ) -> torch.Tensor:
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        ctx.attention = attention
        ctx.save_for_backward(query, key, value, bias)
        return attention.forward(query, key, value, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        bias_too = ctx.needs_input_grad[3]
        grads = ctx.attention.backward(grad.contiguous(), *ctx.saved_tensors, bias_too)
        return *grads, *([] if bias_too else [None]), None


class _Attend(torch.autograd.Function):
    """softmax(scale q k' + bias) with dropout, times v; saves the probabilities once.

    torch's own operations save them three times: DeBERTa then takes 1.1 to 1.7 times the memory. `blocked` is True
    where a key must not be seen.
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
        ctx.scale, ctx.rate = scale, rate
        ctx.seed, mask = dropout.draw(probabilities, rate, grouped=True)
        ctx.save_for_backward(query, key, value, probabilities, mask)
        return torch.matmul(dropout.apply(probabilities, rate, ctx.seed, mask), value)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        query, key, value, probabilities, mask = ctx.saved_tensors
        dropped = ctx.rate, ctx.seed, mask
        grad_value = torch.matmul(dropout.apply(probabilities, *dropped).transpose(-1, -2), grad)
        inner = dropout.apply(torch.matmul(grad, value.transpose(-1, -2)), *dropped)
        scores = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
        grad_query = torch.matmul(scores, key).mul_(ctx.scale)
        grad_key = torch.matmul(scores.transpose(-1, -2), query).mul_(ctx.scale)
        return grad_query, grad_key, grad_value, scores if ctx.needs_input_grad[3] else None, None, None, None


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
    if device_kind(query.device) == "cpu":
        out: torch.Tensor = _Attend.apply(query, key, value, bias, None if mask is None else ~mask, scale, rate)
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
    table, zero = (bias.table, bias.width - 1) if isinstance(bias, RelativeBias) else (None, 0)
    if query.dtype == torch.bfloat16 and table is not None:
        known = kernels.usable(query, key, value) and table.dtype == torch.float32
    else:
        known = kernels.usable(query, key, value, *([] if table is None else [table]))
    if (bias is None or table is not None) and known and key.shape[1] // heads % kernels.lanes(key) == 0:
        seed = kernels.draw_seed(query, rate)
        seen = -1 if window is None else window
        whole = share.present() if rate > 0.0 else None
        first = 0 if whole is None else whole.before(heads, kernels.lanes(key), queries_too=not first_only)
        attention = kernels.Attention(
            rows.starts, rows.lengths, heads, scale, rate, seed, first_only, seen, zero, first
        )
        if torch.is_inference_mode_enabled():
            return attention.forward(query.contiguous(), key.contiguous(), value.contiguous(), table)
        out: torch.Tensor = _KernelAttend.apply(query, key, value, table, attention)
        return out
    return padded_attention(query, key, value, rows, heads, scale, rate, first_only, bias, window)


def padded_attention(
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
    """The same by torch's operations: queries, keys and values are padded, group by group."""
    parts = []
    on_cpu = query.dtype == torch.bfloat16 and device_kind(query.device) != "cuda" and not _mixed(query)
    for group in rows.groups:
        own = slice(group.first_row, group.first_row + group.rows)
        texts = slice(group.first_text, group.first_text + group.texts)
        q = query[texts].unsqueeze(1) if first_only else pad(query[own], group)
        q, k, v = (_heads(part, heads) for part in (q, pad(key[own], group), pad(value[own], group)))
        if on_cpu:
            # What rows of bfloat16 are attended with is float32, as in the kernel.
            q, k, v = q.float(), k.float(), v.float()
        mask = group.mask if window is None else _near(group, window, first_only, query.device)
        added = None if bias is None else bias(q, k, group)
        attended = attend(q, k, v, added, mask, scale, rate).to(value.dtype).transpose(1, 2).flatten(2)
        parts.append(attended.squeeze(1) if first_only else unpad(attended, group))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _mixed(x: torch.Tensor) -> bool:
    return torch.is_autocast_enabled(x.device.type)


def _heads(padded: torch.Tensor, heads: int) -> torch.Tensor:
    """(texts, tokens, heads * size) -> (texts, heads, tokens, size)."""
    return padded.view(*padded.shape[:-1], heads, -1).transpose(1, 2)


def _near(group: Group, window: int, first_only: bool, device: torch.device) -> torch.Tensor | None:
    """The group's mask without the keys that are too far from their query; padding sees all that are near it."""
    real = group.mask
    if group.width <= window + 1:
        return real
    places = torch.arange(group.width, device=device)
    queries = places[:1] if first_only else places
    near = (queries[:, None] - places[None, :]).abs() <= window
    if real is None or first_only:
        return near if real is None else near & real
    # A query that sees no key would have no number for an output.
    return near & (real | ~real.transpose(-1, -2))


def first_rows(hidden: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The rows of the first tokens: (rows, hidden) -> (texts, hidden)."""
    return take(hidden, rows.starts)
