"""ELECTRA's discriminator (Clark et al., 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thriftune.models.families.bert import BertFamily
from thriftune.models.ops.linear import linear

if TYPE_CHECKING:
    from thriftune.models.ops.rows import Rows


class ElectraFamily(BertFamily):
    """BERT's layers; embeddings may be narrower than the layers; a two-layer head without pooler."""

    def below(self, encoder: Any, cut: int) -> list[nn.Module]:
        """The projection of the embeddings as well."""
        project = getattr(encoder, "embeddings_project", None)
        return [*super().below(encoder, cut), *([] if project is None else [project])]

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """BERT's embeddings, projected to the layers' width where they are narrower."""
        out = super().embed(encoder, rows)
        project = getattr(encoder, "embeddings_project", None)
        return out if project is None else linear(project, out)

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Dropout, dense, GELU, dropout, projection."""
        out: torch.Tensor = network.classifier(read.unsqueeze(1))
        return out


FAMILY = ElectraFamily(
    model_types=("electra",),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("query", "value"),
    token_types=True,
)
