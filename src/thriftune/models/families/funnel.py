"""Funnel Transformer (Dai et al., 2020): blocks of layers on shorter and shorter sequences, padding included."""

from __future__ import annotations

from typing import Any

from torch import nn

from thriftune.models.families.base import Family


class FunnelFamily(Family):
    """Layers stand in blocks; without the classification head a decoder follows them."""

    def layer_list(self, encoder: Any) -> nn.ModuleList:
        """All layers, lowest first, the decoder's last."""
        layers = [layer for block in encoder.encoder.blocks for layer in block]
        decoder = getattr(encoder, "decoder", None)
        return nn.ModuleList([*layers, *([] if decoder is None else decoder.layers)])


FAMILY = FunnelFamily(
    model_types=("funnel",),
    layers="encoder.blocks",
    head=("classifier",),
    lora_targets=("q_head", "v_head"),
    token_types=True,
    reads_padding=True,
)
