"""RoBERTa (Liu et al., 2019), XLM-RoBERTa and CamemBERT: positions start at the padding id plus one."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PretrainedConfig

from thriftune.models.families.bert import BertFamily


class RobertaFamily(BertFamily):
    """BERT's layers; a two-layer head without pooler."""

    def first_position(self, encoder: Any) -> int:
        """The id after the padding's."""
        return int(encoder.embeddings.padding_idx) + 1

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """Positions up to the padding id's are never a token's."""
        return int(config.max_position_embeddings) - int(config.pad_token_id or 0) - 1

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Dropout, dense, tanh, dropout, projection."""
        out: torch.Tensor = network.classifier(read.unsqueeze(1))
        return out


FAMILY = RobertaFamily(
    model_types=("roberta", "xlm-roberta", "camembert"),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("query", "value"),
    token_types=True,
)
