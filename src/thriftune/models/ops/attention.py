"""Attention over packed rows: only queries, keys and values are padded, group by group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from thriftune.models.device import device_kind
from thriftune.models.ops import kernels
from thriftune.models.ops.dropout import keep_mask, pack_bits, unpack_bits
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
        query, key, value = kernels.dense(query, key, value)
        ctx.attention = attention
        ctx.save_for_backward(query, key, value, bias)
        return attention.forward(query, key, value, bias)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        bias_too = ctx.needs_input_grad[3]
        grads = ctx.attention.backward(grad.contiguous(), *ctx.saved_tensors, bias_too)
        return *grads, *([] if bias_too else [None]), None


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


class _PackedAttend(torch.autograd.Function):
    """`_Attend` for all groups at once, from rows to rows: each copy between the two layouts is a single gather.

    Padding holds copies of a real row instead of zeros: as a key it has probability zero, as a query it is not
    read, and its gradients are exactly zero.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        rows: Rows,
        heads: int,
        scale: float,
        rate: float,
        first_only: bool,
    ) -> torch.Tensor:
        ctx.rows, ctx.heads, ctx.scale, ctx.first_only = rows, heads, scale, first_only
        ctx.factor = 1.0
        query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
        size = query.shape[1] // heads
        out = torch.empty_like(query)
        saved: list[torch.Tensor | None] = []
        for group, places in zip(rows.groups, rows.by_head(heads), strict=True):
            own = slice(group.first_row, group.first_row + group.rows)
            texts = slice(group.first_text, group.first_text + group.texts)
            batch = group.texts * heads
            q = query[texts].view(batch, 1, size) if first_only else _gather(query[own], places.source, batch, size)
            k = _gather(key[own], places.source, batch, size)
            v = _gather(value[own], places.source, batch, size)
            scores = torch.baddbmm(q.new_empty(()), q, k.transpose(1, 2), beta=0, alpha=scale)
            if places.blocked is not None:
                scores.masked_fill_(places.blocked, torch.finfo(scores.dtype).min)
            probabilities = scores.softmax(dim=-1)
            del scores
            kept, bits = probabilities, None
            if rate > 0.0:
                mask, ctx.factor = keep_mask(probabilities.numel(), rate)
                bits = pack_bits(mask)
                kept = probabilities * mask.view(probabilities.shape)
            attended = torch.baddbmm(q.new_empty(()), kept, v, beta=0, alpha=ctx.factor)
            if first_only:
                out[texts] = attended.view(group.texts, -1)
            else:
                torch.index_select(attended.view(-1, size), 0, places.target, out=out[own].view(-1, size))
            saved += [q, k, v, probabilities, bits]
        ctx.save_for_backward(*saved)
        return out

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        rows, heads, first_only = ctx.rows, ctx.heads, ctx.first_only
        grad = grad.contiguous()
        size = grad.shape[1] // heads
        count = sum(group.rows for group in rows.groups)
        grads = [torch.empty_like(grad), grad.new_empty(count, grad.shape[1]), grad.new_empty(count, grad.shape[1])]
        saved = ctx.saved_tensors
        for index, (group, places) in enumerate(zip(rows.groups, rows.by_head(heads), strict=True)):
            q, k, v, probabilities, bits = saved[5 * index : 5 * index + 5]
            own = slice(group.first_row, group.first_row + group.rows)
            texts = slice(group.first_text, group.first_text + group.texts)
            if first_only:
                above = grad[texts].view(group.texts * heads, 1, size)
            else:
                above = grad.new_zeros(group.texts * heads * group.width, size)
                above.index_copy_(0, places.target, grad[own].view(-1, size))
                above = above.view(group.texts * heads, group.width, size)
            inner = torch.baddbmm(above.new_empty(()), above, v.transpose(1, 2), beta=0, alpha=ctx.factor)
            kept = probabilities
            if bits is not None:
                mask = unpack_bits(bits, probabilities.shape)
                kept = probabilities * mask
                inner.mul_(mask)
            grad_value = torch.baddbmm(above.new_empty(()), kept.transpose(1, 2), above, beta=0, alpha=ctx.factor)
            del kept
            scores = torch._softmax_backward_data(inner, probabilities, -1, probabilities.dtype)
            del inner
            grad_query = torch.baddbmm(above.new_empty(()), scores, k, beta=0, alpha=ctx.scale)
            grad_key = torch.baddbmm(above.new_empty(()), scores.transpose(1, 2), q, beta=0, alpha=ctx.scale)
            if first_only:
                grads[0][texts] = grad_query.view(group.texts, -1)
            else:
                _scatter(grad_query, places.target, grads[0][own], size)
            _scatter(grad_key, places.target, grads[1][own], size)
            _scatter(grad_value, places.target, grads[2][own], size)
        return *grads, None, None, None, None, None


def _gather(rows: torch.Tensor, source: torch.Tensor, batch: int, size: int) -> torch.Tensor:
    """(rows, heads * size) -> (texts * heads, width, size)."""
    return rows.view(-1, size).index_select(0, source).view(batch, -1, size)


def _scatter(padded: torch.Tensor, target: torch.Tensor, rows: torch.Tensor, size: int) -> None:
    """(texts * heads, width, size) into (rows, heads * size)."""
    torch.index_select(padded.view(-1, size), 0, target, out=rows.view(-1, size))


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
    table, zero = (bias.table, bias.width - 1) if isinstance(bias, RelativeBias) else (None, 0)
    tensors = (query, key, value) if table is None else (query, key, value, table)
    same = bias is None or table is not None
    if same and kernels.usable(*tensors) and key.shape[1] // heads % kernels.lanes(key) == 0:
        seed = kernels.draw_seed(query, rate)
        seen = -1 if window is None else window
        attention = kernels.Attention(rows.starts, rows.lengths, heads, scale, rate, seed, first_only, seen, zero)
        out: torch.Tensor = _KernelAttend.apply(query, key, value, table, attention)
        return out
    if device_kind(query.device) == "cpu" and bias is None and window is None:
        fused: torch.Tensor = _PackedAttend.apply(query, key, value, rows, heads, scale, rate, first_only)
        return fused
    parts = []
    for group in rows.groups:
        own = slice(group.first_row, group.first_row + group.rows)
        texts = slice(group.first_text, group.first_text + group.texts)
        q = query[texts].unsqueeze(1) if first_only else pad(query[own], group)
        q, k, v = (_heads(part, heads) for part in (q, pad(key[own], group), pad(value[own], group)))
        mask = group.mask if window is None else _near(group, window, first_only, query.device)
        added = None if bias is None else bias(q, k, group)
        attended = attend(q, k, v, added, mask, scale, rate).transpose(1, 2).flatten(2)
        parts.append(attended.squeeze(1) if first_only else unpad(attended, group))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _heads(padded: torch.Tensor, heads: int) -> torch.Tensor:
    """(texts, tokens, heads * size) -> (texts, heads, tokens, size)."""
    return padded.view(*padded.shape[:-1], heads, -1).transpose(1, 2)


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
