"""DeBERTa, the first version (He et al., 2020): queries, keys and values are one projection."""

from __future__ import annotations

from transformers import PretrainedConfig

from thriftune.models.families.base import Family


class DebertaFamily(Family):
    """Relative positions in every layer."""

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """No limit where positions are relative alone."""
        return super().max_tokens(config) if config.position_biased_input else None


FAMILY = DebertaFamily(
    model_types=("deberta",),
    layers="encoder.layer",
    head=("pooler", "classifier"),
    lora_targets=("in_proj",),
    token_types=True,
)
