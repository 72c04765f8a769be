"""XLM (Lample and Conneau, 2019) and FlauBERT (Le et al., 2020): a layer's parts stand in lists beside each other."""

from __future__ import annotations

from typing import Any

from torch import nn

from thriftune.models.families.base import Family


class XlmFamily(Family):
    """A layer is its attention, its feed-forward and the two norms."""

    def layer_list(self, encoder: Any) -> nn.ModuleList:
        """The encoder's layers, lowest first, put together from the four lists."""
        parts = zip(encoder.attentions, encoder.layer_norm1, encoder.ffns, encoder.layer_norm2, strict=True)
        return nn.ModuleList(nn.ModuleList(layer) for layer in parts)


FAMILY = XlmFamily(
    model_types=("xlm", "flaubert"),
    layers="attentions, layer_norm1, ffns, layer_norm2",
    head=("sequence_summary",),
    lora_targets=("q_lin", "v_lin"),
    shared_dropout=True,
)
