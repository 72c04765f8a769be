"""What a step computes and moves: the quantities that its time follows from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten
CPU_ATTENTION = aten._scaled_dot_product_flash_attention_for_cpu
CPU_ATTENTION_BACKWARD = aten._scaled_dot_product_flash_attention_for_cpu_backward
FREE = {
    torch.ops.prim.device,
    aten.detach,
    aten.empty,
    aten.empty_like,
    aten.new_empty,
    aten.empty_strided,
    aten._local_scalar_dense,
}
"""Operators that touch no data."""
GATHERS = {aten.embedding, aten.index_select, aten.index, aten.gather}
"""Operators that read no more of their source than they give back."""
NARROW = " of bfloat16"
"""Ends the name of a kernel's product where it has numbers of bfloat16."""
OPTIMISERS = {aten._fused_adamw_}
"""Operators that write what they read and return nothing."""


@dataclass(frozen=True)
class Work:
    """Sums over the operations of a step or a pass, by operator."""

    products: dict[str, int] = field(default_factory=dict)
    """FLOPs of matrix products and attention: two per multiply-add."""
    moved: dict[str, int] = field(default_factory=dict)
    """Bytes read and written by everything else, each operand once."""
    calls: dict[str, int] = field(default_factory=dict)

    @property
    def flops(self) -> int:
        """Of all matrix products."""
        return sum(self.products.values())


class CountWork(TorchDispatchMode):
    """Adds up the work of the operations that run while it is active; views and allocations are free."""

    def __init__(self) -> None:
        super().__init__()
        self._products: Counter[str] = Counter()
        self._moved: Counter[str] = Counter()
        self._calls: Counter[str] = Counter()

    @property
    def work(self) -> Work:
        """What has run so far."""
        return Work(dict(self._products), dict(self._moved), dict(self._calls))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and adds its work."""
        out = func(*args, **(kwargs or {}))
        if not is_free(func):
            self.add(func, args, kwargs, out)
        return out

    def add(self, func: Any, args: Any, kwargs: Any, out: Any) -> None:
        """Adds the work of an operation that has run."""
        name, packet = operator_name(func), func.overloadpacket
        if name in KERNEL_FLOPS:
            flops = KERNEL_FLOPS[name](*args)
            if any(isinstance(arg, torch.Tensor) and arg.dtype == torch.bfloat16 for arg in args):
                name += NARROW
            self._calls[name] += 1
            self._products[name] += flops
            return
        self._calls[name] += 1
        if packet in flop_registry or packet in (CPU_ATTENTION, CPU_ATTENTION_BACKWARD):
            self._products[name] += _flops(packet, args, kwargs, out)
        elif packet in GATHERS:
            self._moved[name] += 2 * _bytes(out)
        else:
            self._moved[name] += _bytes((args, kwargs)) + _bytes((args, kwargs) if packet in OPTIMISERS else out)


def is_free(func: Any) -> bool:
    """Whether an operator touches no data."""
    return func.is_view or func.overloadpacket in FREE


def operator_name(func: Any) -> str:
    """The operator without its overload: `aten::add` for `aten::add.Tensor`."""
    return str(func._schema.name)


def _flops(packet: Any, args: Any, kwargs: Any, out: Any) -> int:
    if packet is CPU_ATTENTION:
        return int(sdpa_flop_count(*(part.shape for part in args[:3])))
    if packet is CPU_ATTENTION_BACKWARD:
        return int(sdpa_backward_flop_count(*(part.shape for part in args[:4])))
    return int(flop_registry[packet](*args, **(kwargs or {}), out_val=out))


def _product_flops(rows: Any, weight: Any, turned: bool, *bias: Any) -> int:
    """Of rows times a weight."""
    return int(2 * rows.numel() * weight.shape[0 if turned else 1])


def _wide_flops(left: Any, right: Any, left_turned: bool, right_turned: bool) -> int:
    """Of a product of two sides, each of which may be turned."""
    return int(2 * left.numel() * right.shape[0 if right_turned else 1])


def _attention_flops(query: Any, key: Any, value: Any, starts: Any, lengths: Any, *rest: Any) -> int:
    """Of one product of queries and keys inside each text, over all heads; `rest` as the operator has it."""
    first_only = rest[4]
    pairs = sum(length * (1 if first_only else length) for length in lengths.tolist())
    return int(2 * pairs * key.shape[1])


def _pool_flops(query: Any, rows: Any, *rest: Any) -> int:
    """Of one product of every head's query with its text's rows."""
    return int(2 * query.shape[0] * rows.numel())


KERNEL_FLOPS: dict[str, Callable[..., int]] = {
    "thriftune::product": _product_flops,
    "thriftune::wide": lambda *args: _wide_flops(*args[:2], *args[3:5]),
    "thriftune::wide_add": lambda out, *args: _wide_flops(*args),
    "thriftune::attention": lambda *args: 2 * _attention_flops(*args),
    "thriftune::attention_backward": lambda *args: 5 * _attention_flops(*args),
    "thriftune::pool": lambda *args: 2 * _pool_flops(*args),
    "thriftune::pool_backward": lambda *args: 5 * _pool_flops(*args),
}
"""The compiled kernels' products: attention's are so many of the scores' size."""


def _bytes(values: Any) -> int:
    """Bytes of the tensors in nested values; an expanded dimension is read once."""
    total = 0
    for leaf in tree_leaves(values):
        if isinstance(leaf, torch.Tensor) and leaf.device.type != "meta":
            elements = 1
            for size, stride in zip(leaf.shape, leaf.stride(), strict=True):
                elements *= size if stride else 1
            total += elements * leaf.element_size()
    return total
