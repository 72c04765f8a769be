"""Counts live tensor bytes on any device, each storage once, and says what they are for at the peak."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thriftune.cost.restore import restored
from thriftune.engine.step import Step
from thriftune.results.record import Memory


@dataclass
class _Live:
    """A storage that is alive."""

    size: int
    in_backward: bool
    """Whether it came into being while gradients were computed."""


class LiveBytes(TorchDispatchMode):
    """Adds up the bytes of all tensor storages that operations create while it is active, and their peak.

    Storages that were there before count once they are passed to `add`. Memory that an operation takes and
    frees inside its own kernel is not seen.
    """

    def __init__(
        self, at: int | None = None, snapshot: Callable[[LiveBytes], None] | None = None, granule: int = 1
    ) -> None:
        super().__init__()
        self.live: dict[int, _Live] = {}
        self.current = 0
        self.peak = 0
        self.peak_index = 0
        self.operations = 0
        self._granule = granule
        self._at = at
        self._snapshot = snapshot
        self._references: dict[int, weakref.ref[Any]] = {}

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Counts tensors that exist already."""
        for tensor in tensors:
            self._count(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and counts the storages of its results."""
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        self.operations += 1
        if self.current > self.peak:
            self.peak, self.peak_index = self.current, self.operations
        if self.operations == self._at and self._snapshot is not None:
            self._snapshot(self)
        return out

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.live:
            return
        size = -(-storage.nbytes() // self._granule) * self._granule
        self.live[key] = _Live(size, torch._C._current_graph_task_id() != -1)  # type: ignore[attr-defined]
        self.current += size
        self._references[key] = weakref.ref(storage, partial(self._forget, key))

    def _forget(self, key: int, _: object) -> None:
        self._references.pop(key, None)
        gone = self.live.pop(key, None)
        if gone is not None:
            self.current -= gone.size


def probe(step: Step, batches: list[Any]) -> tuple[int, Memory]:
    """Peak live tensor bytes of a training step on `batches`, and what they are for at that moment.

    Weights, optimiser state and random numbers are restored.
    """
    with restored(step):
        return step_peak(step, batches)


def step_peak(step: Step, batches: list[Any], granule: int = 1) -> tuple[int, Memory]:
    """Peak live tensor bytes of a training step, each storage rounded up to whole granules, and what they are for.

    Two steps run, after the optimiser's state has come into being: one finds the peak, one looks at it.
    """
    if not step.optimizer.state:
        make_state(step)
    with torch.no_grad():
        step.forward(batches[0])  # what happens once only (frozen projections move together) is done before
    finder = LiveBytes(granule=granule)
    _run(step, batches, finder)
    found: list[Memory] = []
    looker = LiveBytes(finder.peak_index, lambda counter: found.append(_by_category(step, counter)), granule)
    _run(step, batches, looker)
    return finder.peak, found[0]


def peak_of(weights: Sequence[torch.Tensor], work: Callable[[], object]) -> int:
    """Peak bytes of some untimed work with the weights that are there for it, nothing else that lives counted.

    CPU: live tensor bytes. CUDA: what the allocator hands out for the work, and the weights.
    """
    device = weights[0].device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before + sum(t.untyped_storage().nbytes() for t in weights)
    counter = LiveBytes()
    counter.add(weights)
    with counter:
        work()
    return counter.peak


def make_state(step: Step) -> None:
    """Brings the optimiser's state into being; the parameters may change."""
    for parameter in step.parameters:
        parameter.grad = torch.zeros_like(parameter)
    step.optimizer.step()
    step.optimizer.zero_grad(set_to_none=True)


def _run(step: Step, batches: list[Any], counter: LiveBytes) -> None:
    root = step.classifier.root
    present = [t for t in (*root.parameters(), *root.buffers()) if t.device.type != "meta"]
    counter.add([*present, *_optimizer_state(step)])
    prefix = step.examples.prefix
    if prefix is not None and not prefix.mapped:
        counter.add([torch.from_numpy(prefix.values)])
    with counter:
        step(batches, 0.0)


def _optimizer_state(step: Step) -> list[torch.Tensor]:
    states = step.optimizer.state.values()
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def _keys(tensors: Iterable[torch.Tensor | None]) -> set[int]:
    return {tensor.untyped_storage()._cdata for tensor in tensors if tensor is not None}


def _by_category(step: Step, counter: LiveBytes) -> Memory:
    root = step.classifier.root
    weights = _keys([*root.parameters(), *root.buffers()])
    optimizer = _keys(_optimizer_state(step))
    gradients = _keys(p.grad for p in step.parameters)
    prefix = step.examples.prefix
    cache = _keys([torch.from_numpy(prefix.values)] if prefix is not None and not prefix.mapped else [])
    sums = dict.fromkeys(("weights", "gradients", "optimizer", "activations", "cache", "other"), 0)
    for key, live in counter.live.items():
        if key in weights:
            name = "weights"
        elif key in optimizer:
            name = "optimizer"
        elif key in cache:
            name = "cache"
        elif key in gradients:
            name = "gradients"
        else:
            name = "other" if live.in_backward else "activations"
        sums[name] += live.size
    return Memory(**sums)
