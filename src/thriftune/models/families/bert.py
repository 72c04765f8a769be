"""BERT (Devlin et al., 2019); MiniLM has the same architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from thriftune.models.families.base import Family
from thriftune.models.families.post_norm import bert_parts, post_norm_layer
from thriftune.models.ops.dropout import dropout, rate_of

if TYPE_CHECKING:
    from thriftune.models.ops.rows import Rows


class BertFamily(Family):
    """The layout that RoBERTa and ELECTRA took over."""

    packs = True

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """Words, positions and segments, normalised."""
        embeddings = encoder.embeddings
        out = embeddings.word_embeddings(rows.ids)
        types = torch.zeros_like(rows.ids) if rows.types is None else rows.types
        out = out + embeddings.token_type_embeddings(types)
        out = out + embeddings.position_embeddings(rows.positions + self.first_position(encoder))
        return dropout(embeddings.LayerNorm(out), rate_of(embeddings.dropout))

    def first_position(self, encoder: Any) -> int:
        """The position id of a text's first token."""
        return 0

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """A post-norm layer."""
        return post_norm_layer(bert_parts(encoder.encoder.layer[index]), hidden, rows, first_only)

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Pooler (dense, tanh), dropout, classifier."""
        pooled = network.base_model.pooler(read.unsqueeze(1))
        out: torch.Tensor = network.classifier(network.dropout(pooled))
        return out


FAMILY = BertFamily(
    model_types=("bert",),
    layers="encoder.layer",
    head=("{}.pooler", "classifier"),
    lora_targets=("query", "value"),
    token_types=True,
)
