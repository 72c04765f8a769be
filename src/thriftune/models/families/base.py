"""What an architecture tells about itself: where its layers and its head are, and how it runs on packed rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

if TYPE_CHECKING:
    from thriftune.models.head import HeadSettings
    from thriftune.models.ops.rows import Rows


@dataclass(frozen=True)
class Family:
    """One architecture: paths to its parts, in the names of its Hugging Face modules.

    A family that packs overrides `embed`, `layer` and `read_own_head`; without them its models train through their own
    forward on padded batches.
    """

    packs: ClassVar[bool] = False
    """Whether there is a forward over packed rows."""

    model_types: tuple[str, ...]
    """`config.model_type` values that it serves."""
    layers: str | None
    """Path of the encoder layers (a ModuleList) inside the encoder; None where they are not known, or are none."""
    head: tuple[str, ...]
    """Paths of the head's modules inside the classification network; the encoder is written as `{}`."""
    lora_targets: tuple[str, ...]
    """Query and value projections: what Hu et al. (2021) adapt."""
    token_types: bool = False
    """Whether a second segment is told apart by token type ids."""
    position_offset: int = 0
    """Positions that the embedding table holds beyond the usable ones."""
    position_projections: tuple[str, ...] = ()
    """Projections of a layer that a table of relative positions goes through as well, not only the rows."""
    why_no_layers: str = ""
    """Why `layers` is None."""
    reads_padding: bool = False
    """Whether a text's logits depend on how far its batch is padded."""

    shared_layers: bool = False
    """Whether several layers are one module, so that a layer's weights cannot leave memory once it has run."""

    shared_dropout: bool = False
    """Whether the encoder's forward applies dropout to all layers alike, so that it cannot be off in some of them."""

    def layer_list(self, encoder: nn.Module) -> nn.ModuleList:
        """The encoder's layers, lowest first; empty where they are not known."""
        if self.layers is None:
            return nn.ModuleList()
        layers = encoder.get_submodule(self.layers)
        if not isinstance(layers, nn.ModuleList):
            raise TypeError(f"{self.layers} is {type(layers).__name__}, a ModuleList is needed")
        return layers

    def head_paths(self, network: PreTrainedModel) -> list[str]:
        """Module paths of the head inside the network."""
        return [path.format(network.base_model_prefix) for path in self.head]

    def uses_token_types(self, config: PretrainedConfig) -> bool:
        """Whether the encoder has more than one token type."""
        return self.token_types and getattr(config, "type_vocab_size", 0) > 1

    def can_pack(self, config: PretrainedConfig) -> bool:
        """Whether the packed forward is that of a model with this configuration: a causal mask is not."""
        return self.packs and not getattr(config, "is_decoder", False)

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """The longest text that the position table allows; None where there is no table."""
        positions = getattr(config, "max_position_embeddings", None)
        return None if positions is None else positions - self.position_offset

    def reads(self, network: Any, head: HeadSettings) -> Literal["first", "mean"]:
        """Which of the last hidden states a network's head reads: the first token's, or the mean of all."""
        return "mean" if head.type == "mean" else "first"

    def below(self, encoder: Any, cut: int) -> list[nn.Module]:
        """The modules that only the layers below the cut need: the embeddings and those layers."""
        return [encoder.embeddings, *self.layer_list(encoder)[:cut]]

    def embed(self, encoder: Any, rows: Rows) -> torch.Tensor:
        """The embeddings' output: (rows, hidden)."""
        raise NotImplementedError

    def context(self, encoder: Any, rows: Rows) -> Any:
        """What all layers share in one forward (relative positions, rotations); None where there is nothing."""
        return None

    def layer(
        self, encoder: Any, index: int, hidden: torch.Tensor, rows: Rows, context: Any, first_only: bool
    ) -> torch.Tensor:
        """One layer: (rows, hidden) -> (rows, hidden), or (texts, hidden) of the first tokens if `first_only`."""
        raise NotImplementedError

    def finish(self, encoder: Any, hidden: torch.Tensor) -> torch.Tensor:
        """What the encoder does to the last layer's output, row by row: nothing, in most."""
        return hidden

    def read_own_head(self, network: Any, read: torch.Tensor) -> torch.Tensor:
        """The architecture's head on what it reads of the last hidden states (texts, hidden): (texts, classes)."""
        raise NotImplementedError

    def read_head(self, network: Any, head: HeadSettings, read: torch.Tensor) -> torch.Tensor:
        """Logits (texts, classes) from what the head reads of each text (texts, hidden)."""
        if head.bare:
            out: torch.Tensor = network.classifier(network.dropout(read))
            return out
        return self.read_own_head(network, read)
