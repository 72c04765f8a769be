"""GPT-2 (Radford et al., 2019): a decoder whose head reads the last token; queries, keys and values are one Conv1D."""

from __future__ import annotations

from thriftune.models.families.base import Family

FAMILY = Family(
    model_types=("gpt2",),
    layers="h",
    head=("score",),
    lora_targets=("c_attn",),
)
