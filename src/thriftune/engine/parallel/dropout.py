"""torch's own dropout modules on a share of a batch: they drop what they would drop of the whole one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn

from thriftune.models.ops.share import present


def modules_of(root: nn.Module) -> list[nn.Dropout]:
    """The dropout modules below a module."""
    return [module for module in root.modules() if type(module) is nn.Dropout]


@contextmanager
def agreeing(modules: Sequence[nn.Dropout]) -> Iterator[None]:
    """Inside, the modules draw for the whole batch and apply what concerns their share."""
    for module in modules:
        module.__dict__["forward"] = partial(_forward, module)
    try:
        yield
    finally:
        for module in modules:
            del module.__dict__["forward"]


def _forward(module: nn.Dropout, x: torch.Tensor) -> torch.Tensor:
    share = present()
    place = None if share is None or not module.training or not module.p else share.place(x)
    if place is None:
        return nn.functional.dropout(x, module.p, module.training, module.inplace)
    first, count = place
    # As torch draws it, for as many texts as one process would have.
    noise = x.new_empty((count, *x.shape[1:])).bernoulli_(1 - module.p).div_(1 - module.p)
    return x * noise[first : first + len(x)]
