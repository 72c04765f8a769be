"""The layer that BERT, RoBERTa, ELECTRA, DistilBERT, DeBERTa, MPNet and ALBERT share: attention and feed-forward, each
followed by dropout, the residual and LayerNorm."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from thriftune.models.ops.activation import activate
from thriftune.models.ops.attention import Bias, RelativeBias, first_rows, packed_attention
from thriftune.models.ops.dropout import rate_of
from thriftune.models.ops.linear import linear
from thriftune.models.ops.norm import add_norm
from thriftune.models.ops.pooling import can_pool, pooled_attention
from thriftune.models.ops.rows import Rows


@dataclass(frozen=True)
class LayerParts:
    """The modules of one layer, by what they do."""

    query: nn.Module
    key: nn.Module
    value: nn.Module
    attention_dropout: nn.Module
    attention_output: nn.Module
    attention_output_dropout: nn.Module | None
    attention_norm: nn.Module
    up: nn.Module
    activation: Callable[[torch.Tensor], torch.Tensor]
    down: nn.Module
    down_dropout: nn.Module | None
    output_norm: nn.Module
    heads: int
    scale: float


def bert_parts(layer: Any, suffix: str = "", scale: float | None = None) -> LayerParts:
    """The parts of a layer that is laid out as BERT's; `suffix` ends the projections' names."""
    attention = layer.attention.self
    return LayerParts(
        query=getattr(attention, f"query{suffix}"),
        key=getattr(attention, f"key{suffix}"),
        value=getattr(attention, f"value{suffix}"),
        attention_dropout=attention.dropout,
        attention_output=layer.attention.output.dense,
        attention_output_dropout=layer.attention.output.dropout,
        attention_norm=layer.attention.output.LayerNorm,
        up=layer.intermediate.dense,
        activation=layer.intermediate.intermediate_act_fn,
        down=layer.output.dense,
        down_dropout=layer.output.dropout,
        output_norm=layer.output.LayerNorm,
        heads=attention.num_attention_heads,
        scale=attention.attention_head_size**-0.5 if scale is None else scale,
    )


def post_norm_layer(
    parts: LayerParts, hidden: torch.Tensor, rows: Rows, first_only: bool, bias: Bias | None = None
) -> torch.Tensor:
    """One layer over packed rows (rows, hidden); with `first_only` its output is (texts, hidden)."""
    residual = first_rows(hidden, rows) if first_only else hidden
    attended = linear(parts.attention_output, _attended(parts, hidden, residual, rows, first_only, bias))
    middle = add_norm(parts.attention_norm, attended, residual, _rate(parts.attention_output_dropout))
    fed = linear(parts.down, activate(parts.activation, linear(parts.up, middle)))
    return add_norm(parts.output_norm, fed, middle, _rate(parts.down_dropout))


def _rate(module: nn.Module | None) -> float:
    return 0.0 if module is None else rate_of(module)


def _attended(
    parts: LayerParts,
    hidden: torch.Tensor,
    first: torch.Tensor,
    rows: Rows,
    first_only: bool,
    bias: Bias | None,
) -> torch.Tensor:
    """What the heads found, before the output projection; `first` holds the first tokens' rows if `first_only`."""
    rate = rate_of(parts.attention_dropout)
    if first_only and can_pool(parts.key, parts.value, hidden, bias):
        query, relative = linear(parts.query, first), bias if isinstance(bias, RelativeBias) else None
        return pooled_attention(query, parts.key, parts.value, hidden, rows, parts.heads, parts.scale, rate, relative)
    query = linear(parts.query, first)
    key, value = linear(parts.key, hidden), linear(parts.value, hidden)
    return packed_attention(query, key, value, rows, parts.heads, parts.scale, rate, first_only, bias)
