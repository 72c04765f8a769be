"""Longformer (Beltagy et al., 2020): RoBERTa with windows of attention; its head's token sees the whole text."""

from __future__ import annotations

from transformers import PretrainedConfig

from thriftune.models.families.base import Family


class LongformerFamily(Family):
    """Positions start after the padding's, as RoBERTa's do."""

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """Positions up to the padding id's are never a token's."""
        return int(config.max_position_embeddings) - int(config.pad_token_id or 0) - 1


FAMILY = LongformerFamily(
    model_types=("longformer",),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("query", "value"),
    token_types=True,
)
