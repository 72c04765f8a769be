"""DistilBERT (Sanh et al., 2019): no token types, no pooler."""

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("distilbert",),
    layers="transformer.layer",
    head=("pre_classifier", "classifier"),
    lora_targets=("q_lin", "v_lin"),
)
