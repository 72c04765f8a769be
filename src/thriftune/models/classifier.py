"""A pretrained encoder with a classification head, as methods change it and the engine trains it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from thriftune.models.families.base import Family
from thriftune.models.head import HeadSettings
from thriftune.models.weights import StoredWeights

if TYPE_CHECKING:
    from peft import PeftModel


@dataclass(frozen=True)
class ParameterCounts:
    """Numbers of parameters; the trained ones include the head's."""

    trained: int
    head: int
    total: int


@dataclass
class Classifier:
    """The network and what is known about it.

    Parameters live in the Hugging Face modules; PEFT tuners change them in place, and `peft` then holds the
    wrapper that saves the adapter.
    """

    network: nn.Module
    """A transformers `...ForSequenceClassification`, or the encoder with a linear head."""
    encoder: PreTrainedModel
    """The bare encoder inside it."""
    family: Family
    head: HeadSettings
    head_names: tuple[str, ...]
    """Module paths of the head inside the network."""
    labels: tuple[str, ...]
    name: str
    """The model as the user named it."""
    path: Path
    """The folder that the pretrained weights came from."""
    tokenizer: PreTrainedTokenizerBase | None = None
    """None on a skeleton."""
    notes: tuple[str, ...] = ()
    peft: PeftModel | None = None
    stored: StoredWeights | None = None
    """Where the weights are that were left out when it was loaded; None where all are there."""
    padding_side: Literal["right", "left"] = "right"
    """Where padding changes nothing that the model says of a text."""
    reads_padding: bool = False
    """Whether padding on either side changes what the model says of a text: then no text is padded to predict."""
    input_tuner: bool = False
    """Whether the method changes the input (prompt learning), so that only PEFT's own forward will do."""

    @property
    def config(self) -> PretrainedConfig:
        """The encoder's configuration."""
        return self.encoder.config

    @property
    def device(self) -> torch.device:
        """Where the weights above the cut are (those below may have left memory)."""
        return next(self.head_modules[-1].parameters()).device

    @property
    def layers(self) -> nn.ModuleList:
        """The encoder's layers, lowest first; empty where they are not known."""
        return self.family.layer_list(self.encoder)

    @property
    def reads(self) -> Literal["first", "mean"]:
        """Which of the last hidden states the head reads: the first token's, or the mean of all."""
        return self.family.reads(self.network, self.head)

    @property
    def head_modules(self) -> list[nn.Module]:
        """The head's modules; where PEFT trains copies of them, its wrappers."""
        return [self.network.get_submodule(name) for name in self.head_names]

    @property
    def root(self) -> nn.Module:
        """The module whose forward is the whole model and which holds every parameter."""
        return self.peft if self.input_tuner and self.peft is not None else self.network

    @property
    def virtual_tokens(self) -> int:
        """Positions that a method puts before every text."""
        return int(self.peft.active_peft_config.num_virtual_tokens) if self.input_tuner and self.peft else 0

    def logits(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """The reference path: the network's own forward on padded inputs; logits of shape (texts, classes)."""
        out: torch.Tensor = self.root(**inputs).logits
        return out

    def freeze(self) -> None:
        """Freezes everything but the head: the state in which a method finds the classifier."""
        self.network.requires_grad_(False)
        for module in self.head_modules:
            module.requires_grad_(True)

    def trained(self) -> list[tuple[str, nn.Parameter]]:
        """Name and parameter of everything that is trained, in the network's order."""
        return [(name, p) for name, p in self.root.named_parameters() if p.requires_grad]

    @property
    def cut(self) -> int | None:
        """How many layers lie below the lowest trained one: the depth to which gradients need not reach.

        All layers where only the head is trained; zero where the first layer is but the embeddings are not;
        None where the embeddings (or anything else outside the layers and the head) are trained. Where the layers
        are not known there are none, and so 0 or None.
        """
        lowest = len(self.layers)
        inside = {id(p) for module in self.head_modules for p in module.parameters()}
        for index, layer in enumerate(self.layers):
            inside.update(id(p) for p in layer.parameters())
            if lowest > index and any(p.requires_grad for p in layer.parameters()):
                lowest = index
        outside = self.input_tuner or any(id(p) not in inside for _, p in self.trained())
        return None if outside else lowest

    def train_mode(self, frozen_dropout: bool) -> None:
        """Switches dropout on for training; below the cut only if `frozen_dropout`, or where all layers share it."""
        self.root.train()
        cut = self.cut
        if frozen_dropout or cut is None or (self.family.shared_dropout and cut < len(self.layers)):
            return
        self.encoder.eval()
        for module in [*self.layers[cut:], *self.head_modules]:
            module.train()

    def move(self, device: str) -> None:
        """Moves the weights that are in memory to a device."""
        self.root._apply(lambda tensor: tensor if tensor.is_meta else tensor.to(device))

    def eval_mode(self) -> None:
        """Switches dropout off."""
        self.root.eval()

    def counts(self) -> ParameterCounts:
        """Parameter counts; a head's frozen original, which PEFT keeps beside the trained copy, is left out."""
        named = [(n, p) for n, p in self.root.named_parameters() if ".original_module." not in n]
        head = {id(p) for module in self.head_modules for p in module.parameters() if p.requires_grad}
        return ParameterCounts(
            trained=sum(p.numel() for _, p in named if p.requires_grad),
            head=sum(p.numel() for _, p in named if id(p) in head),
            total=sum(p.numel() for _, p in named),
        )
