"""A CUDA graph's stand-in on a CPU: operations are remembered, and run again on the same memory without any Python."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
FORBIDDEN = {aten.nonzero.default, aten.masked_select.default, aten._unique2.default}
Work = Callable[[], None]


class Tape(TorchDispatchMode):
    """Remembers operations while it is active. What makes the host wait is an error, as it is in a graph.

    Numbers that the host made itself (`torch.tensor(2.0).item()`) may be read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self._from_host: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        inputs = [id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        from_host = bool(inputs) and set(inputs) <= self._from_host
        waits = func in FORBIDDEN or (func is aten._local_scalar_dense.default and not from_host)
        if waits or (func is aten.index.Tensor and any(i is not None and i.dtype == torch.bool for i in args[1])):
            raise RuntimeError("operation not permitted when stream is capturing")
        out = func(*args, **(kwargs or {}))
        self.calls.append((func, args, kwargs or {}, out))
        if from_host or func is aten.lift_fresh.default:
            self._from_host.update(id(leaf) for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        return out

    def replay(self) -> None:
        """Runs everything again; results go where they went."""
        with torch.no_grad():
            for func, args, kwargs, out in self.calls:
                again = func(*args, **kwargs)
                for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                    if isinstance(old, torch.Tensor) and old.untyped_storage()._cdata != new.untyped_storage()._cdata:
                        old.detach().copy_(new)


class TapeRecorder:
    """Records tapes. A graph's recording runs nothing, so what `state` names and random numbers are put back."""

    def __init__(self, state: Callable[[], Iterable[torch.Tensor]], refuse: str | None = None) -> None:
        self.state = state
        self.refuse = refuse
        self.eager = 0
        self.recordings = 0
        self.replays = 0

    def run(self, work: Work) -> None:
        self.eager += 1
        work()

    def record(self, work: Work) -> Work:
        self.recordings += 1
        if self.refuse is not None:
            raise RuntimeError(self.refuse)
        before = [(tensor, tensor.detach().clone()) for tensor in self.state()]
        random = torch.get_rng_state()
        tape = Tape()
        with tape:
            work()
        torch.set_rng_state(random)
        with torch.no_grad():
            for tensor, value in before:
                tensor.copy_(value)

        def replay() -> None:
            self.replays += 1
            tape.replay()

        return replay
