"""MPNet (Song et al., 2020): BERT's layers with a bias for relative positions; positions start after the padding's."""

from __future__ import annotations

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("mpnet",),
    layers="encoder.layer",
    head=("classifier",),
    lora_targets=("q", "v"),
    position_offset=2,
)
