"""What a step computes and moves: the quantities that its time follows from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry, sdpa_backward_flop_count, sdpa_flop_count

aten = torch.ops.aten
BATCHED = {aten.bmm, aten.baddbmm}
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
KERNEL_PRODUCTS = {
    "thriftune::attention": 2,
    "thriftune::attention_backward": 5,
    "thriftune::pool": 2,
    "thriftune::pool_backward": 5,
}
"""The compiled attention's operators, and how many products of scores' size each computes."""
OPTIMISERS = {aten._fused_adamw_}
"""Operators that write what they read and return nothing."""


@dataclass(frozen=True)
class Work:
    """Sums over the operations of a step or a pass."""

    matrix_flops: int = 0
    """Of products with a weight: two per multiply-add."""
    batched_flops: int = 0
    """Of many small products at once: attention."""
    moved_bytes: int = 0
    """Read and written by everything else, each operand once."""
    operations: int = 0

    @property
    def flops(self) -> int:
        """Of all matrix products."""
        return self.matrix_flops + self.batched_flops


class CountWork(TorchDispatchMode):
    """Adds up the work of the operations that run while it is active; views and allocations are free."""

    def __init__(self) -> None:
        super().__init__()
        self.work = Work()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and adds its work."""
        out = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if func.is_view or packet in FREE:
            return out
        matrix, batched, moved = 0, 0, 0
        if func.name() in KERNEL_PRODUCTS:
            product = _pool_flops if "pool" in func.name() else _attention_flops
            batched = KERNEL_PRODUCTS[func.name()] * product(*args)
        elif packet in BATCHED or packet in (CPU_ATTENTION, CPU_ATTENTION_BACKWARD):
            batched = _flops(packet, args, kwargs, out)
        elif packet in flop_registry:
            flops = _flops(packet, args, kwargs, out)
            attention = "attention" in packet.__name__
            matrix, batched = (0, flops) if attention else (flops, 0)
        elif packet in GATHERS:
            moved = 2 * _bytes(out)
        else:
            moved = _bytes((args, kwargs)) + _bytes((args, kwargs) if packet in OPTIMISERS else out)
        done = self.work
        self.work = Work(
            done.matrix_flops + matrix,
            done.batched_flops + batched,
            done.moved_bytes + moved,
            done.operations + 1,
        )
        return out


def _flops(packet: Any, args: Any, kwargs: Any, out: Any) -> int:
    if packet is CPU_ATTENTION:
        return int(sdpa_flop_count(*(part.shape for part in args[:3])))
    if packet is CPU_ATTENTION_BACKWARD:
        return int(sdpa_backward_flop_count(*(part.shape for part in args[:4])))
    return int(flop_registry[packet](*args, **(kwargs or {}), out_val=out))


def _attention_flops(query: Any, key: Any, value: Any, starts: Any, lengths: Any, *rest: Any) -> int:
    """Of one product of queries and keys inside each text, over all heads; `rest` as the operator has it."""
    first_only = rest[4]
    pairs = sum(length * (1 if first_only else length) for length in lengths.tolist())
    return int(2 * pairs * key.shape[1])


def _pool_flops(query: Any, rows: Any, *rest: Any) -> int:
    """Of one product of every head's query with its text's rows."""
    return int(2 * query.shape[0] * rows.numel())


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
