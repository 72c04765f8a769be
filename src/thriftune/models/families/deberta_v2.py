"""DeBERTa-v2 and -v3 (He et al., 2021): relative positions in every layer, so no limit on a text's length."""

from transformers import PretrainedConfig

from thriftune.models.families.base import Family


class DebertaV2Family(Family):
    """DeBERTa: the position table is optional."""

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """Limited only where absolute positions are added to the input."""
        return super().max_tokens(config) if config.position_biased_input else None


FAMILY = DebertaV2Family(
    model_types=("deberta-v2",),
    layers="encoder.layer",
    head=("pooler", "classifier"),
    lora_targets=("query_proj", "value_proj"),
    token_types=True,
)
