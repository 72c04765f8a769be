"""Loads a model without the weights of its lowest layers, and reads those when they are wanted.

transformers itself loads the model, from placeholders of one number each in place of the checkpoint's tensors; where
a placeholder ends up says which tensor of the checkpoint a parameter is, whatever was renamed, tied or prefixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thriftune.models.weights import StoredTensor, StoredWeights, parameter_names

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


class Placeholders:
    """Makes a model of the usual classes whose pretrained parameters are placeholders; new ones are initialised."""

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self._tensors = {name: torch.zeros(()).expand(tensor.shape) for name, tensor in tensors.items()}
        self._places = {_pointer(self._tensors[name]): tensor for name, tensor in tensors.items()}
        self._sound = False

    def network(
        self, cls: type[PreTrainedModel], config: PretrainedConfig, options: dict[str, Any]
    ) -> tuple[PreTrainedModel, dict[str, Any]]:
        """A model of a class, loaded by transformers from the placeholders, and its account of that."""
        network, info = load_network(cls, config, options, self._tensors)
        new = {key if isinstance(key, str) else key[0] for key in (*info["missing_keys"], *info["mismatched_keys"])}
        known = all(name in new or _pointer(p) in self._places for name, p in network.named_parameters())
        self._sound = known and not any(_pointer(buffer) in self._places for buffer in network.buffers())
        return network, info

    def fill(self, network: nn.Module, without: list[nn.Module]) -> StoredWeights | None:
        """Reads all weights but those of the modules `without`, which become shapes without data.

        Returns where all weights are stored; None, and nothing is read, where a parameter is no plain tensor of the
        checkpoint.
        """
        named = dict(network.named_parameters(remove_duplicate=False))
        places = {name: self._places[_pointer(p)] for name, p in named.items() if _pointer(p) in self._places}
        if not all(place.file.suffix == ".safetensors" for place in places.values()):
            return None
        stored, below = StoredWeights(places), set(parameter_names(network, without))
        shared = {id(named[name]) for name in below} & {id(p) for name, p in named.items() if name not in below}
        if not self._sound or shared or not below <= places.keys():
            return None
        stored.read(network, places.keys() - below, torch.device("cpu"))
        for module in without:
            module.to("meta")
        return stored


def load_network(
    cls: type[PreTrainedModel], config: PretrainedConfig, options: dict[str, Any], tensors: Mapping[str, Any]
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """A model of a class in float32 from tensors by name, and transformers' account of what fitted."""
    folder = config.name_or_path
    load: Any = cls.from_pretrained
    network, info = load(
        None,
        config=config,
        state_dict=dict(tensors),
        dtype=torch.float32,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        trust_remote_code=False,
        **options,
    )
    network.config.name_or_path = network.name_or_path = folder
    return network, info


def _pointer(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
