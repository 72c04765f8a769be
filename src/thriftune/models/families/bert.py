"""BERT (Devlin et al., 2019); MiniLM has the same architecture."""

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("bert",),
    layers="encoder.layer",
    head=("{}.pooler", "classifier"),
    lora_targets=("query", "value"),
    token_types=True,
)
