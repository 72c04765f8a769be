"""Loads a model without the weights of its lowest layers, and reads those when they are wanted.

transformers itself loads the model, from placeholders of one number each in place of the checkpoint's tensors; where
a placeholder ends up says which tensor of the checkpoint a parameter is, whatever was renamed, tied or prefixed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open
from torch import nn

from thriftune.models.pretrained.checkpoint import StoredTensor

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from thriftune.models.classifier import Classifier


@dataclass(frozen=True)
class StoredWeights:
    """Where each pretrained parameter of a network is stored, by its name in the network."""

    places: dict[str, StoredTensor]

    def read(self, network: nn.Module, names: Iterable[str], device: torch.device) -> None:
        """Gives parameters their pretrained values, in the number format that they have."""
        by_file = defaultdict(list)
        for name in names:
            by_file[self.places[name].file].append(name)
        for file, own in by_file.items():
            with safe_open(file, framework="pt") as tensors:
                for name in own:
                    path, _, leaf = name.rpartition(".")
                    owner = network.get_submodule(path)
                    old = getattr(owner, leaf)
                    value = tensors.get_tensor(self.places[name].key).to(device, old.dtype)
                    setattr(owner, leaf, nn.Parameter(value, requires_grad=old.requires_grad))


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

    def fill(self, classifier: Classifier, without: int) -> bool:
        """Reads all weights but the embeddings' and the `without` lowest layers'; those become shapes without data.

        False, and nothing is read, where a parameter is no plain tensor of the checkpoint.
        """
        named = dict(classifier.network.named_parameters(remove_duplicate=False))
        places = {name: self._places[_pointer(p)] for name, p in named.items() if _pointer(p) in self._places}
        if not all(place.file.suffix == ".safetensors" for place in places.values()):
            return False
        stored = StoredWeights(places)
        modules = classifier.family.below(classifier.encoder, without)
        below = set(parameter_names(classifier.network, modules))
        shared = {id(named[name]) for name in below} & {id(p) for name, p in named.items() if name not in below}
        if not self._sound or shared or not below <= places.keys():
            return False
        stored.read(classifier.network, places.keys() - below, torch.device("cpu"))
        for module in modules:
            module.to("meta")
        classifier.stored = stored
        return True


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


def parameter_names(network: nn.Module, modules: Iterable[nn.Module]) -> list[str]:
    """The names in a network of the parameters of some of its modules."""
    paths = {id(module): path for path, module in network.named_modules()}
    return [f"{paths[id(module)]}.{name}" for module in modules for name, _ in module.named_parameters()]


def absent(module: nn.Module) -> bool:
    """Whether a module's weights are not in memory."""
    return any(p.device.type == "meta" for p in module.parameters())


def _pointer(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
