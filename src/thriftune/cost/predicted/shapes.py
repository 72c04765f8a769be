"""Runs the engine's own code on tensors that have shapes but no data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thriftune.models.classifier import Classifier

DEVICE = torch.ops.prim.device.default


class _RealIndices(TorchDispatchMode):
    """Operations on real tensors alone (token ids, masks, places of rows) run for real: code looks at their values."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Computes where nothing fake goes in; leaves everything else to the fake mode below."""
        if func is DEVICE and isinstance(args[0], FakeTensor):
            return args[0].fake_device  # asked of every tensor many times over
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if not tensors or any(isinstance(tensor, FakeTensor) for tensor in tensors):
            return func(*args, **(kwargs or {}))
        with unset_fake_temporarily():
            return func(*args, **(kwargs or {}))


@contextmanager
def without_data() -> Iterator[None]:
    """New tensors have no data; those that came from numpy keep theirs until they meet one without."""
    with FakeTensorMode(allow_non_fake_inputs=True), _RealIndices():
        yield


def materialise(classifier: Classifier) -> None:
    """Turns a skeleton's tensors into ones without data on the CPU, so that a step can run on them.

    To be called inside `without_data`.
    """
    made: dict[int, torch.Tensor] = {}
    _replace(classifier.root.modules(), lambda tensor: _like(tensor, made))


def leave_memory(classifier: Classifier, cut: int) -> None:
    """What `release` does where tensors have data: those that only the layers below the cut need become absent."""
    for part in classifier.family.below(classifier.encoder, cut):
        _replace(part.modules(), lambda tensor: torch.empty_like(tensor, device="meta"))


def _replace(modules: Iterable[nn.Module], make: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Puts another tensor in the place of each parameter and buffer; parameters that are shared stay so."""
    parameters: dict[int, nn.Parameter] = {}
    for module in modules:
        for name, parameter in module._parameters.items():
            if parameter is not None:
                if id(parameter) not in parameters:
                    parameters[id(parameter)] = nn.Parameter(make(parameter), parameter.requires_grad)
                module._parameters[name] = parameters[id(parameter)]
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = make(buffer)


def _like(tensor: torch.Tensor, made: dict[int, torch.Tensor]) -> torch.Tensor:
    """A tensor of the same shape, strides and storage size; tensors that share a storage go on sharing it."""
    storage = tensor.untyped_storage()
    if storage._cdata not in made:
        if storage.nbytes() == tensor.numel() * tensor.element_size():
            made[storage._cdata] = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
            return made[storage._cdata]
        made[storage._cdata] = torch.empty(storage.nbytes() // tensor.element_size(), dtype=tensor.dtype)
    return made[storage._cdata].as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())
