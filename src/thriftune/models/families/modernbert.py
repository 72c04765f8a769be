"""ModernBERT (Warner et al., 2024): rotary positions; queries, keys and values are one projection."""

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("modernbert",),
    layers="layers",
    head=("head", "classifier"),
    lora_targets=("Wqkv",),
)
