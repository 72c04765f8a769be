"""What is stored where: the tensors of weight files, and which of them a network's parameters are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Names of the safetensors format."""
FLOATS = ("F64", "F32", "F16", "BF16")
"""Number formats of weights, by these names."""


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a weight file."""

    file: Path
    key: str
    dtype: str
    """By the names of the safetensors format."""
    shape: tuple[int, ...]


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


def parameter_names(network: nn.Module, modules: Iterable[nn.Module]) -> list[str]:
    """The names in a network of the parameters of some of its modules."""
    paths = {id(module): path for path, module in network.named_modules()}
    return [f"{paths[id(module)]}.{name}" for module in modules for name, _ in module.named_parameters()]


def absent(module: nn.Module) -> bool:
    """Whether a module's weights are not in memory."""
    return any(p.device.type == "meta" for p in module.parameters())
