"""LoRA updates beside the weights that they belong to, several of them in one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thriftune.models.ops import products
from thriftune.models.ops.linear import lora_update

if TYPE_CHECKING:
    from thriftune.models.classifier import Classifier as Network


@dataclass(frozen=True)
class Update:
    """What LoRA adds to a product: scale x' down' up'."""

    down: torch.Tensor
    """(rank, in)"""
    up: torch.Tensor
    """(out, rank)"""
    scale: float


def take_updates(network: Network) -> dict[str, Update] | None:
    """Takes LoRA's updates out of a network, by their module's path in the encoder; the base's weights stay.

    None, with the network as it was, where it has another tuner, or one that is not ordinary LoRA on the encoder's
    layers alone. A network without a tuner has no updates.
    """
    if network.peft is None:
        return {}
    from peft.tuners.tuners_utils import BaseTunerLayer

    inside = {id(part) for layer in network.layers for part in layer.modules()}
    tuners = [part for part in network.peft.modules() if isinstance(part, BaseTunerLayer)]
    paths = {id(part): path for path, part in network.encoder.named_modules() if isinstance(part, BaseTunerLayer)}
    found = {id(part): lora_update(part) for part in tuners if id(part) in inside and isinstance(part, nn.Module)}
    if len(found) != len(tuners) or None in found.values():
        return None
    updates = {paths[key]: Update(*each) for key, each in found.items() if each is not None}
    wrapped: Any = network.peft
    wrapped.unload()  # trained copies of the head take its place, without the update's being added
    network.peft = None
    return updates


@dataclass
class Running:
    """Whose rows go through the layers at the moment: neighbouring texts of one classifier are one part."""

    names: tuple[str, ...] = ()
    rows: tuple[slice, ...] = ()
    """Of each part, by name."""
    texts: tuple[slice, ...] = ()
    counts: tuple[int, int] = (0, 0)
    """Rows and texts in all."""

    def parts(self, count: int) -> tuple[slice, ...]:
        """The parts of a tensor with so many rows: all tokens', or the texts' first ones."""
        if len(self.names) == 1:
            return (slice(0, count),)  # whatever it is: a table of relative positions has rows of its own
        if count not in self.counts:
            raise ValueError(f"{count} rows are neither the {self.counts[0]} tokens nor the {self.counts[1]} texts")
        return self.rows if count == self.counts[0] else self.texts


class Adapted(nn.Module):
    """A Linear that several classifiers share, and the update of each: one product for all, a small one for each."""

    def __init__(self, base: nn.Linear, running: Running) -> None:
        super().__init__()
        self.base = base
        self.updates: dict[str, Update] = {}
        self._running = running

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(rows, in) -> (rows, out), each row with the update of the classifier that it runs for."""
        mixed = torch.is_autocast_enabled(x.device.type)
        weight, bias = self.base.weight, self.base.bias
        out = nn.functional.linear(x, weight, bias) if mixed else products.affine(x, weight, bias)
        for name, part in zip(self._running.names, self._running.parts(len(x)), strict=True):
            update = self.updates.get(name)
            if update is None:
                continue
            if mixed:
                added = nn.functional.linear(nn.functional.linear(x[part], update.down), update.up)
                out[part] += added.to(out.dtype) * update.scale
            elif out.dtype == torch.bfloat16:
                products.add_times(out[part], products.times(x[part], update.down), update.up * update.scale)
            else:
                out[part].addmm_(x[part] @ update.down.t(), update.up.t(), alpha=update.scale)
        return out
