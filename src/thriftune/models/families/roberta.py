"""RoBERTa (Liu et al., 2019), XLM-RoBERTa and CamemBERT: positions start at the padding id plus one."""

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("roberta", "xlm-roberta", "camembert"),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("query", "value"),
    token_types=True,
    position_offset=2,
)
