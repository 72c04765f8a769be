"""ModernBERT (Warner et al., 2024): rotary positions; queries, keys and values are one projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch

from thriftune.models.families.base import Family
from thriftune.models.ops.attention import first_rows, packed_attention
from thriftune.models.ops.dropout import dropout, rate_of
from thriftune.models.ops.linear import linear

if TYPE_CHECKING:
    from thriftune.models.head import HeadSettings
    from thriftune.models.ops.rows import Rows


class ModernBertFamily(Family):
    """Pre-norm layers with a gated feed-forward; most layers see a window of neighbours only."""

    packs = True

    def reads(self, network: Any, head: HeadSettings) -> Literal["first", "mean"]:
        """The own head may average over all tokens."""
        if head.bare:
            return super().reads(network, head)
        return "first" if network.config.classifier_pooling == "cls" else "mean"

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """Words, normalised."""
        embeddings = encoder.embeddings
        return dropout(embeddings.norm(embeddings.tok_embeddings(rows.ids)), rate_of(embeddings.drop))

    def context(self, encoder: Any, rows: Rows) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
        """Cosine and sine of each row's rotation, (rows, 1, size), by layer type."""
        like = encoder.final_norm.weight
        out = {}
        for kind in set(encoder.config.layer_types):
            cosine, sine = encoder.rotary_emb(like, rows.positions[None], kind)
            out[kind] = (cosine[0].unsqueeze(1), sine[0].unsqueeze(1))
        return out

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """A pre-norm layer."""
        layer = encoder.layers[index]
        attention = layer.attn
        heads = encoder.config.num_attention_heads
        joint = linear(attention.Wqkv, layer.attn_norm(hidden)).unflatten(-1, (3, heads, attention.head_dim))
        query, key = (_rotate(part, *context[layer.attention_type]) for part in joint[:, :2].unbind(1))
        residual = hidden
        if first_only:
            query, residual = first_rows(query, rows), first_rows(hidden, rows)
        attended = packed_attention(
            query.flatten(1),
            key.flatten(1),
            joint[:, 2].flatten(1),
            rows,
            heads,
            attention.head_dim**-0.5,
            attention.attention_dropout if attention.training else 0.0,
            first_only,
            window=None if attention.sliding_window is None else attention.sliding_window - 1,
        )
        middle = residual + dropout(linear(attention.Wo, attended), rate_of(attention.out_drop))
        value, gate = linear(layer.mlp.Wi, layer.mlp_norm(middle)).chunk(2, dim=-1)
        return middle + linear(layer.mlp.Wo, dropout(layer.mlp.act(value) * gate, rate_of(layer.mlp.drop)))

    def finish(self, encoder: Any, hidden: torch.Tensor) -> torch.Tensor:
        """The final norm."""
        out: torch.Tensor = encoder.final_norm(hidden)
        return out

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Dense, activation, norm; dropout; classifier."""
        out: torch.Tensor = network.classifier(network.drop(network.head(read)))
        return out


def _rotate(part: torch.Tensor, cosine: torch.Tensor, sine: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al. 2021, arXiv:2104.09864) on (rows, heads, size), each half a coordinate.

    Through float32 (twice, so that gradients round alike), as transformers rotates whatever the model's dtype.
    """
    one, two = part.float().chunk(2, dim=-1)
    return (part.float() * cosine + torch.cat((-two, one), dim=-1) * sine).to(part.dtype)


FAMILY = ModernBertFamily(
    model_types=("modernbert",),
    layers="layers",
    head=("head", "classifier"),
    lora_targets=("Wqkv",),
)
