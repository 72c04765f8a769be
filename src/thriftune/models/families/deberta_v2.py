"""DeBERTa-v2 and -v3 (He et al., 2021): relative positions in every layer, so no limit on a text's length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PretrainedConfig
from transformers.activations import ACT2FN

from thriftune.models.families.base import Family
from thriftune.models.families.post_norm import LayerParts, bert_parts, post_norm_layer
from thriftune.models.ops.dropout import dropout, rate_of
from thriftune.models.ops.linear import linear
from thriftune.models.ops.rows import pad, take, unpad

if TYPE_CHECKING:
    from thriftune.models.ops.rows import Group, Rows


@dataclass(frozen=True)
class Relative:
    """The relative positions that texts of a batch can reach: 2 * width - 1 of them, from -(width - 1) up."""

    table: torch.Tensor
    """(buckets, hidden) the embeddings of the reachable buckets, in order."""
    content: torch.Tensor
    """(2 * width - 1,) row of the table for each distance query - key, as content-to-position reads it."""
    position: torch.Tensor
    """(2 * width - 1,) the same for each distance key - query, as position-to-content reads it."""
    width: int


def _skewed(x: torch.Tensor) -> torch.Tensor:
    """(..., width, 2 * width - 1) -> (..., width, width): row i keeps columns width - 1 - i to 2 * width - 2 - i."""
    x = x.contiguous()
    width = x.shape[-2]
    stride = (*x.stride()[:-2], x.shape[-1] - 1, 1)
    return x.as_strided((*x.shape[:-1], width), stride, x.storage_offset() + width - 1)


def log_buckets(distances: torch.Tensor, buckets: int, longest: int) -> torch.Tensor:
    """Buckets of relative distances: single ones up to half of `buckets`, wider and wider ones beyond.

    The same numbers as transformers' `make_log_bucket_position`, which copies a number from the host to the device on
    its way and so cannot be captured in a CUDA graph.
    """
    middle = buckets // 2
    far = distances.abs().masked_fill(distances.abs() < middle, middle - 1)
    scale = torch.log(torch.tensor((longest - 1) / middle))
    log = torch.ceil(torch.log(far / middle) / scale * (middle - 1)) + middle
    return torch.where(far <= middle, distances.type_as(log), log * distances.sign()).long()


class DebertaV2Family(Family):
    """Attention scores are content-content plus content-position plus position-content."""

    packs = True

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """Limited only where absolute positions are added to the input."""
        return super().max_tokens(config) if config.position_biased_input else None

    def below(self, encoder: Any, cut: int) -> list[nn.Module]:
        """The convolution as well: it belongs to the first layer."""
        convolution = encoder.encoder.conv if cut > 0 else None
        return [*super().below(encoder, cut), *([] if convolution is None else [convolution])]

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """Words, and positions and segments where the model has them, normalised."""
        embeddings = encoder.embeddings
        out = embeddings.word_embeddings(rows.ids)
        if embeddings.position_embeddings is not None:
            out = out + embeddings.position_embeddings(rows.positions)
        if embeddings.token_type_embeddings is not None:
            types = torch.zeros_like(rows.ids) if rows.types is None else rows.types
            out = out + embeddings.token_type_embeddings(types)
        if embeddings.embed_proj is not None:
            out = linear(embeddings.embed_proj, out)
        return dropout(embeddings.LayerNorm(out), rate_of(embeddings.dropout))

    def context(self, encoder: Any, rows: Rows) -> Relative | None:
        """The reachable slice of the relative-position table (projecting the rest would change nothing)."""
        if not encoder.encoder.relative_attention:
            return None
        attention = encoder.encoder.layer[0].attention.self
        span = attention.pos_ebd_size
        distances = torch.arange(1 - rows.width, rows.width, device=rows.ids.device)
        buckets = distances
        if attention.position_buckets > 0:
            buckets = log_buckets(distances, attention.position_buckets, attention.max_relative_positions)
        content = (buckets + span).clamp(0, 2 * span - 1)
        position = (-buckets + span).clamp(0, 2 * span - 1)
        reach = min(span, rows.width)
        low, high = max(0, span - reach), min(2 * span, span + reach)
        table = encoder.encoder.rel_embeddings.weight[low:high]
        if "layer_norm" in encoder.encoder.norm_rel_ebd:
            table = encoder.encoder.LayerNorm(table)
        return Relative(table, content - low, position - low, rows.width)

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """A post-norm layer; the first is followed by the convolution where the model has one."""
        layer = encoder.encoder.layer[index]
        attention = layer.attention.self
        factor = 1 + ("c2p" in attention.pos_att_type) + ("p2c" in attention.pos_att_type)
        # transformers takes this root in float32 whatever the model's dtype; so does the packed path.
        root = torch.tensor(attention.attention_head_size * factor, dtype=torch.float32).sqrt()
        parts = bert_parts(layer, "_proj", 1.0 / root.item())
        bias = None if context is None else _RelativeBias(attention, context, parts, first_only)
        convolution = encoder.encoder.conv if index == 0 else None
        if convolution is None:
            return post_norm_layer(parts, hidden, rows, first_only, bias)
        out = post_norm_layer(parts, hidden, rows, False, bias and replace(bias, first_only=False))
        out = _convolve(convolution, hidden, out, rows)
        return take(out, rows.starts) if first_only else out

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Pooler (dropout, dense, activation), dropout, classifier."""
        out: torch.Tensor = network.classifier(network.dropout(network.pooler(read.unsqueeze(1))))
        return out


@dataclass
class _RelativeBias:
    """The position terms of the scores, for one layer; its tables are projected once for all groups of texts."""

    attention: Any
    relative: Relative
    parts: LayerParts
    first_only: bool
    _tables: tuple[torch.Tensor | None, torch.Tensor | None] | None = None

    def __call__(self, query: torch.Tensor, key: torch.Tensor, group: Group) -> torch.Tensor:
        if self._tables is None:
            self._tables = self._project()
        keys, queries = self._tables
        middle, width = self.relative.width - 1, group.width
        reach = slice(middle - width + 1, middle + width)
        out: Any = 0
        if keys is not None:
            out = self._content_to_position(query, keys[:, reach], width)
        if queries is not None:
            out = out + self._position_to_content(key, queries[:, reach], width)
        return torch.as_tensor(out) * self.parts.scale

    def _content_to_position(self, query: torch.Tensor, keys: torch.Tensor, width: int) -> torch.Tensor:
        """Query i against the position key of i - j: distances run down as j runs up, so the table is flipped."""
        if self.first_only:
            return query @ keys[:, :width].flip(1).transpose(-1, -2)
        return _skewed(query @ keys.flip(1).transpose(-1, -2))

    def _position_to_content(self, key: torch.Tensor, queries: torch.Tensor, width: int) -> torch.Tensor:
        """Key j against the position query of j - i."""
        if self.first_only:
            return (key * queries[:, width - 1 :]).sum(-1).unsqueeze(-2)
        return _skewed(key @ queries.flip(1).transpose(-1, -2)).transpose(-1, -2)

    def _project(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Position keys and queries by distance, each (heads, 2 * width - 1, size); None where unused."""
        attention, relative = self.attention, self.relative
        table = dropout(relative.table, rate_of(attention.pos_dropout))
        shared = attention.share_att_key
        keys = queries = None
        if "c2p" in attention.pos_att_type:
            keys = linear(attention.key_proj if shared else attention.pos_key_proj, table)
            keys = self._by_head(keys.index_select(0, relative.content))
        if "p2c" in attention.pos_att_type:
            queries = linear(attention.query_proj if shared else attention.pos_query_proj, table)
            queries = self._by_head(queries.index_select(0, relative.position))
        return keys, queries

    def _by_head(self, table: torch.Tensor) -> torch.Tensor:
        return table.view(len(table), self.parts.heads, -1).transpose(0, 1)


def _convolve(convolution: Any, hidden: torch.Tensor, out: torch.Tensor, rows: Rows) -> torch.Tensor:
    """The convolution over each text's embeddings, added to the first layer's output; it crosses no text border."""
    convolved = []
    for group in rows.groups:
        own = slice(group.first_row, group.first_row + group.rows)
        padded = pad(hidden[own], group).transpose(1, 2).to(convolution.conv.weight.dtype)
        convolved.append(unpad(convolution.conv(padded).transpose(1, 2), group))
    mixed = dropout(torch.cat(convolved), rate_of(convolution.dropout))
    activation: nn.Module = ACT2FN[convolution.conv_act]
    normed: torch.Tensor = convolution.LayerNorm(out + activation(mixed))
    return normed.to(out.dtype)


FAMILY = DebertaV2Family(
    model_types=("deberta-v2",),
    layers="encoder.layer",
    head=("pooler", "classifier"),
    lora_targets=("query_proj", "value_proj"),
    token_types=True,
    position_projections=("query_proj", "key_proj", "pos_query_proj", "pos_key_proj"),
)
