"""The engine's techniques, each with what switches it off: a plain function in place of the engine's own.

The ablation measures each alone, and tests/engine/test_techniques.py holds the results to be the same without it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from thriftune.engine import allocator, batches, forward, step
from thriftune.engine.frozen import layers, words
from thriftune.models import residence
from thriftune.models.families import discover
from thriftune.models.ops import activation, attention, dropout, kernels, pooling

ALL = ("top_layers 2", "lora all", "full")
COMPOSED = "lora all, no compiled kernels"
"""LoRA as it runs where no compiler is, which is how DeBERTa's attention always runs."""


@dataclass(frozen=True)
class Technique:
    """Something the engine does that changes cost alone."""

    replaced: Callable[[], dict[Any, Any]]
    """What stands where, without it: (owner, name) -> value, or function -> function for every use of it."""
    methods: tuple[str, ...]
    """Methods of the benchmarks that it acts on."""


@contextmanager
def switched_off(*names: str | None) -> Iterator[None]:
    """Runs the block without some techniques; None leaves all on."""
    undo: list[tuple[Any, str, Any]] = []
    for old, new in [pair for name in names if name for pair in TECHNIQUES[name].replaced().items()]:
        places = [old] if isinstance(old, tuple) else _uses(old)
        assert places, f"nothing uses {old}"
        for owner, attribute in places:
            undo.append((owner, attribute, getattr(owner, attribute)))
            setattr(owner, attribute, new)
    try:
        yield
    finally:
        for owner, attribute, value in undo:
            setattr(owner, attribute, value)


def _uses(function: Any) -> list[tuple[Any, str]]:
    """Every module of the package, and name in it, under which a function is known."""
    modules = [module for name, module in sys.modules.items() if name.startswith("thriftune.")]
    return [(m, name) for m in modules for name, value in list(vars(m).items()) if value is function]


def _all_rows_in_the_last_layer() -> dict[Any, Any]:
    classes = {owner for family in discover().values() for owner in type(family).__mro__ if "layer" in vars(owner)}
    return {(owner, "layer"): _for_all_rows(vars(owner)["layer"]) for owner in classes}


def _for_all_rows(layer: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def whole(self: Any, encoder: Any, index: int, hidden: Any, packed: Any, context: Any, first: bool) -> Any:
        out = layer(self, encoder, index, hidden, packed, context, False)
        return out[packed.starts] if first else out

    return whole


def _plain_dropout(x: torch.Tensor, rate: float) -> torch.Tensor:
    return nn.functional.dropout(x, rate) if rate else x


def _plain_attend(query: Any, key: Any, value: Any, bias: Any, mask: Any, scale: float, rate: float) -> Any:
    """Softmax attention as autograd differentiates it."""
    scores = query @ key.transpose(-1, -2) * scale
    if bias is not None:
        scores = scores + bias
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return _plain_dropout(scores.softmax(dim=-1), rate) @ value


def _plain_optimizer(classifier: Any, settings: Any, learning_rate: float) -> torch.optim.AdamW:
    groups = step.parameter_groups(classifier, settings)
    betas = (settings.beta1, settings.beta2)
    return torch.optim.AdamW(groups, learning_rate, betas, settings.epsilon, foreach=False, fused=False)


TECHNIQUES: dict[str, Technique] = {
    "packed rows (and all that builds on them)": Technique(
        lambda: {forward.packs: lambda classifier, protocol: False}, ALL
    ),
    "frozen layers once": Technique(
        lambda: {layers.has_constant_prefix: lambda classifier, protocol: False}, ("top_layers 2",)
    ),
    "weights below the cut leave memory": Technique(
        lambda: {residence.release: lambda classifier: None}, ("top_layers 2",)
    ),
    "last layer for the first token": Technique(_all_rows_in_the_last_layer, ALL),
    "no keys and values in the last layer": Technique(lambda: {pooling.can_pool: lambda *_: False}, ALL),
    "compiled GELU": Technique(lambda: {activation.has_kernel: lambda function, x: False}, ALL),
    "compiled kernels": Technique(lambda: {kernels.usable: lambda *tensors: False}, ALL),
    "products with vectors of 64 bytes": Technique(lambda: {kernels.has_wide: lambda dtype: False}, ALL),
    "compiled products": Technique(lambda: {kernels.multiplies: lambda rows, weight, turned: False}, ALL),
    "freed memory kept for the next step": Technique(lambda: {allocator.keep_freed_memory: lambda: None}, ALL),
    "the words that occur alone": Technique(
        lambda: {words.narrow: lambda classifier, splits, protocol: (None, splits)}, ("full",)
    ),
    "compiled attention": Technique(lambda: {attention.packed_attention: attention.padded_attention}, ALL),
    "attention in groups of similar length": Technique(lambda: {(batches, "TEXTS_PER_GROUP"): 1 << 30}, (COMPOSED,)),
    "attention's probabilities saved once": Technique(lambda: {attention.attend: _plain_attend}, (COMPOSED,)),
    "own dropout": Technique(lambda: {dropout.dropout: _plain_dropout}, (COMPOSED,)),
    "fused AdamW": Technique(lambda: {step.build_optimizer: _plain_optimizer}, ALL),
}
