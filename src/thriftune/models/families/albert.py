"""ALBERT (Lan et al., 2019): one group of weights that runs as every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thriftune.models.families.bert import BertFamily
from thriftune.models.families.post_norm import LayerParts, post_norm_layer
from thriftune.models.ops.linear import linear

if TYPE_CHECKING:
    from thriftune.models.ops.rows import Rows


class AlbertFamily(BertFamily):
    """BERT's layers, the same few of them run again and again; embeddings narrower than the layers.

    Each run of a layer counts as one, so that the cut is where gradients end: all runs where only the head is
    trained, the first run of the lowest trained weights otherwise. `layers` stays None: no top layers can be trained
    while those below them, the same weights, are frozen.
    """

    def layer_list(self, encoder: Any) -> nn.ModuleList:
        """The layers in the order in which they run; a module stands there as often as it runs."""
        inner = len(encoder.encoder.albert_layer_groups[0].albert_layers)
        return nn.ModuleList([_layer(encoder, index) for index in range(encoder.config.num_hidden_layers * inner)])

    def below(self, encoder: Any, cut: int) -> list[nn.Module]:
        """The embeddings with their projection, and the layers that do not run again above the cut."""
        layers = list(self.layer_list(encoder))
        above = {id(layer) for layer in layers[cut:]}
        own = {id(layer): layer for layer in layers[:cut] if id(layer) not in above}
        return [encoder.embeddings, encoder.encoder.embedding_hidden_mapping_in, *own.values()]

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """BERT's embeddings, projected to the layers' width."""
        return linear(encoder.encoder.embedding_hidden_mapping_in, super().embed(encoder, rows))

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """A post-norm layer without dropout after the feed-forward."""
        layer = _layer(encoder, index)
        attention = layer.attention
        parts = LayerParts(
            query=attention.query,
            key=attention.key,
            value=attention.value,
            attention_dropout=attention.attention_dropout,
            attention_output=attention.dense,
            attention_output_dropout=attention.output_dropout,
            attention_norm=attention.LayerNorm,
            up=layer.ffn,
            activation=layer.activation,
            down=layer.ffn_output,
            down_dropout=None,
            output_norm=layer.full_layer_layer_norm,
            heads=attention.num_attention_heads,
            scale=attention.scaling,
        )
        return post_norm_layer(parts, hidden, rows, first_only)

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """Pooler (dense, tanh), dropout, classifier."""
        encoder = network.base_model
        out: torch.Tensor = network.classifier(network.dropout(encoder.pooler_activation(encoder.pooler(read))))
        return out


def _layer(encoder: Any, index: int) -> Any:
    """The layer that runs at a place; neighbouring runs share a group, and each runs all of its layers."""
    groups, count = encoder.encoder.albert_layer_groups, encoder.config.num_hidden_layers
    run, place = divmod(index, len(groups[0].albert_layers))
    return groups[int(run / (count / len(groups)))].albert_layers[place]


FAMILY = AlbertFamily(
    model_types=("albert",),
    layers=None,
    why_no_layers="all its layers are one set of weights",
    head=("{}.pooler", "classifier"),
    lora_targets=("query", "value"),
    token_types=True,
    shared_layers=True,
)
