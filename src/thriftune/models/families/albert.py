"""ALBERT (Lan et al., 2019): one group of weights that runs as every layer."""

from __future__ import annotations

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("albert",),
    layers=None,
    why_no_layers="all its layers are one set of weights",
    head=("{}.pooler", "classifier"),
    lora_targets=("query", "value"),
    token_types=True,
)
