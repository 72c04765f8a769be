"""DistilBERT (Sanh et al., 2019): no token types, no pooler."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from thriftune.models.families.base import Family
from thriftune.models.families.post_norm import LayerParts, post_norm_layer
from thriftune.models.ops.dropout import dropout, rate_of

if TYPE_CHECKING:
    from thriftune.models.ops.rows import Rows


class DistilBertFamily(Family):
    """BERT's layer under other names, without dropout after the attention's output."""

    packs = True

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """Words and positions, normalised."""
        embeddings = encoder.embeddings
        out = embeddings.word_embeddings(rows.ids) + embeddings.position_embeddings(rows.positions)
        return dropout(embeddings.LayerNorm(out), rate_of(embeddings.dropout))

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """A post-norm layer."""
        layer = encoder.transformer.layer[index]
        parts = LayerParts(
            query=layer.attention.q_lin,
            key=layer.attention.k_lin,
            value=layer.attention.v_lin,
            attention_dropout=layer.attention.dropout,
            attention_output=layer.attention.out_lin,
            attention_output_dropout=None,
            attention_norm=layer.sa_layer_norm,
            up=layer.ffn.lin1,
            activation=layer.ffn.activation,
            down=layer.ffn.lin2,
            down_dropout=layer.ffn.dropout,
            output_norm=layer.output_layer_norm,
            heads=layer.attention.n_heads,
            scale=layer.attention.attention_head_size**-0.5,
        )
        return post_norm_layer(parts, hidden, rows, first_only)

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Dense, ReLU, dropout, classifier."""
        out: torch.Tensor = network.classifier(network.dropout(network.pre_classifier(read).relu()))
        return out


FAMILY = DistilBertFamily(
    model_types=("distilbert",),
    layers="transformer.layer",
    head=("pre_classifier", "classifier"),
    lora_targets=("q_lin", "v_lin"),
)
