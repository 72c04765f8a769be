"""MPNet (Song et al., 2020): BERT's layers with a bias for relative positions; positions start after the padding's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from thriftune.models.families.base import Family
from thriftune.models.families.post_norm import LayerParts, post_norm_layer
from thriftune.models.ops.attention import RelativeBias
from thriftune.models.ops.dropout import dropout, rate_of

if TYPE_CHECKING:
    from thriftune.models.ops.rows import Rows


class MPNetFamily(Family):
    """Post-norm layers; one bias per head and bucket of distances is added to the scores of all layers."""

    packs = True

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """Words and positions, normalised."""
        embeddings = encoder.embeddings
        positions = rows.positions + int(embeddings.padding_idx) + 1
        out = embeddings.word_embeddings(rows.ids) + embeddings.position_embeddings(positions)
        return dropout(embeddings.LayerNorm(out), rate_of(embeddings.dropout))

    def context(self, encoder: Any, rows: Rows) -> RelativeBias:
        """The bias for each distance that texts of this batch can reach."""
        layers = encoder.encoder
        distances = RelativeBias.distances(rows.width, rows.ids.device)
        table = layers.relative_attention_bias(layers.relative_position_bucket(distances))
        return RelativeBias(table.t().contiguous(), rows.width)

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """A post-norm layer with the shared bias."""
        layer = encoder.encoder.layer[index]
        attention = layer.attention.attn
        parts = LayerParts(
            query=attention.q,
            key=attention.k,
            value=attention.v,
            attention_dropout=attention.dropout,
            attention_output=attention.o,
            attention_output_dropout=layer.attention.dropout,
            attention_norm=layer.attention.LayerNorm,
            up=layer.intermediate.dense,
            activation=layer.intermediate.intermediate_act_fn,
            down=layer.output.dense,
            down_dropout=layer.output.dropout,
            output_norm=layer.output.LayerNorm,
            heads=attention.num_attention_heads,
            scale=attention.attention_head_size**-0.5,
        )
        return post_norm_layer(parts, hidden, rows, first_only, context)

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Dropout, dense, tanh, dropout, projection."""
        out: torch.Tensor = network.classifier(read.unsqueeze(1))
        return out


FAMILY = MPNetFamily(
    model_types=("mpnet",),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("q", "v"),
    position_offset=2,
)
