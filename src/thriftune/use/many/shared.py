"""Equal tensors of several networks become one tensor."""

from __future__ import annotations

import hashlib
from typing import Any
from weakref import WeakValueDictionary

import torch
from torch import nn


class SharedTensors:
    """The tensors of the networks that were shared, by content; one that no network has any more is let go."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[tuple[object, ...], torch.Tensor] = WeakValueDictionary()

    def share(self, network: nn.Module) -> None:
        """Puts known tensors in place of equal ones of a network, which nothing must train or change afterwards.

        The values are the same, bit by bit, so the network's outputs are.
        """
        for module in network.modules():
            for own in (module._parameters, module._buffers):
                for name, tensor in own.items():
                    if tensor is not None and not tensor.is_meta:
                        own[name] = self._known.setdefault(_content(tensor), tensor)  # type: ignore[assignment]


def _content(tensor: torch.Tensor) -> tuple[object, ...]:
    plain = tensor.detach().cpu().contiguous()
    data: Any = plain.view(-1).view(torch.uint8).numpy()
    digest = hashlib.blake2b(data, digest_size=32).digest()
    kind = isinstance(tensor, nn.Parameter)
    return (kind, tensor.dtype, tuple(tensor.shape), tensor.stride(), tensor.device, digest)
