"""Counts live tensor bytes on any device, each storage once, and says what they are for at the peak."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from thriftune.cost.measured.untouched import untouched
from thriftune.engine.step import Step
from thriftune.results.cost import Memory


class LiveBytes(TorchDispatchMode):
    """Adds up the bytes of all tensor storages that operations create while it is active, and their peak.

    Storages that were there before count once they are passed to `add`. Memory that an operation takes and
    frees inside its own kernel is not seen. Each storage has a number, by order of appearance.
    """

    def __init__(self, granule: int = 1) -> None:
        super().__init__()
        self.current = 0
        self.peak = 0
        self.sizes: list[int] = []
        """Bytes by storage number."""
        self.in_backward: list[bool] = []
        """Whether a storage came into being while gradients were computed, by number."""
        self._granule = granule
        self._live: dict[int, int] = {}
        self._references: dict[int, weakref.ref[Any]] = {}
        self._log: list[int] = []
        self._peak_at = 0

    def add(self, tensors: Iterable[torch.Tensor]) -> None:
        """Counts tensors that exist already."""
        for tensor in tensors:
            self._count(tensor)

    def numbers(self, tensors: Iterable[torch.Tensor | None]) -> set[int]:
        """Numbers of the storages that some living tensors have now."""
        dense = (part for tensor in tensors if tensor is not None for part in _dense(tensor))
        keys = (part.untyped_storage()._cdata for part in dense)
        return {self._live[key] for key in keys if key in self._live}

    def at_peak(self) -> set[int]:
        """Numbers of the storages that were alive at the peak."""
        alive: set[int] = set()
        for event in self._log[: self._peak_at]:
            if event >= 0:
                alive.add(event)
            else:
                alive.remove(~event)
        return alive

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs the operation and counts the storages of its results."""
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor):
            self._count(out)
        else:
            self.add(leaf for leaf in tree_leaves(out) if isinstance(leaf, torch.Tensor))
        if self.current > self.peak:
            self.peak, self._peak_at = self.current, len(self._log)
        return out

    def _count(self, tensor: torch.Tensor) -> None:
        if tensor.layout != torch.strided:
            self.add(_dense(tensor))
            return
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._live:
            return
        number = self._live[key] = len(self.sizes)
        self.sizes.append(-(-storage.nbytes() // self._granule) * self._granule)
        self.in_backward.append(torch._C._current_graph_task_id() != -1)  # type: ignore[attr-defined]
        self.current += self.sizes[number]
        self._log.append(number)
        self._references[key] = weakref.ref(storage, partial(self._forget, key))

    def _forget(self, key: int, _: object) -> None:
        self._references.pop(key, None)
        number = self._live.pop(key, None)
        if number is not None:
            self.current -= self.sizes[number]
            self._log.append(~number)


def _dense(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The tensors that hold a tensor's numbers: itself, or a sparse one's indices and values."""
    if tensor.layout == torch.strided:
        return (tensor,)
    return (tensor._indices(), tensor._values())


def probe(step: Step, batches: list[Any]) -> tuple[int, Memory]:
    """Peak live tensor bytes of a training step on `batches`, and what they are for at that moment.

    Weights, optimiser state and random numbers are restored.
    """
    with untouched(step):
        return step_peak(step, batches)


def step_peak(
    step: Step, batches: list[Any], granule: int = 1, beside: AbstractContextManager[object] | None = None
) -> tuple[int, Memory]:
    """Peak live tensor bytes of a training step, each storage rounded up to whole granules, and what they are for.

    The optimiser's state comes into being first; then one step runs, inside `beside` too where that is given.
    """
    make_state(step)
    counter = LiveBytes(granule)
    root, prefix = step.classifier.root, step.examples.prefix
    weights = [t for t in (*root.parameters(), *root.buffers()) if t.device.type != "meta"]
    cache = [torch.from_numpy(prefix.values)] if prefix is not None and not prefix.mapped else []
    parts = {"weights": weights, "optimizer": _optimizer_state(step), "cache": cache}
    for tensors in parts.values():
        counter.add(tensors)
    numbers = {name: counter.numbers(tensors) for name, tensors in parts.items()}

    def before_update(*_: object) -> None:
        numbers["gradients"] = counter.numbers(parameter.grad for parameter in step.parameters)

    hook = step.optimizer.register_step_pre_hook(before_update)
    try:
        with counter, beside or nullcontext():
            step(batches, 0.0)
    finally:
        hook.remove()
    return counter.peak, _by_category(counter, numbers)


def make_state(step: Step) -> None:
    """Brings the optimiser's state into being where there is none; the parameters may change."""
    if step.optimizer.state:
        return
    for parameter in step.parameters:
        parameter.grad = torch.zeros_like(parameter)
    step.optimizer.step()
    step.optimizer.zero_grad(set_to_none=True)


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


def _optimizer_state(step: Step) -> list[torch.Tensor]:
    states = step.optimizer.state.values()
    return [value for state in states for value in state.values() if isinstance(value, torch.Tensor)]


def _by_category(counter: LiveBytes, numbers: dict[str, set[int]]) -> Memory:
    """Bytes at the peak; `numbers` are the storages of the parts that are known, the first one that has it counts."""
    sums = dict.fromkeys(("weights", "gradients", "optimizer", "activations", "cache", "other"), 0)
    for number in counter.at_peak():
        rest = "other" if counter.in_backward[number] else "activations"
        name = next((name for name, part in numbers.items() if number in part), rest)
        sums[name] += counter.sizes[number]
    return Memory(**sums)
