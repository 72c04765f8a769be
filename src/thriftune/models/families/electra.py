"""ELECTRA's discriminator (Clark et al., 2020)."""

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("electra",),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("query", "value"),
    token_types=True,
)
