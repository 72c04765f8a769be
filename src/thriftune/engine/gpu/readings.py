"""Reads numbers from the device without making it wait."""

from __future__ import annotations

import typing
from collections import deque
from collections.abc import Callable
from typing import Any

import torch


class Copied(typing.Protocol):
    """A number on its way to the host."""

    def there(self) -> bool:
        """Whether it has arrived."""
        ...

    def value(self) -> float:
        """The number; waits for it."""
        ...


class Readings:
    """Numbers that are read in the order in which they were asked for: on a CPU at once, on a GPU when they arrive."""

    def __init__(self, copy: Callable[[torch.Tensor], Copied] | None = None) -> None:
        self._copy = copy
        self._waiting: deque[tuple[Copied, Callable[[float], None]]] = deque()

    def ask(self, number: torch.Tensor, then: Callable[[float], None]) -> None:
        """Calls `then` with a number, () on the device, as it is now; it may be written to afterwards."""
        if self._copy is None and number.device.type != "cuda":
            then(number.item())
            return
        self._waiting.append(((self._copy or _FromGpu)(number), then))
        self.take()

    def take(self, wait: bool = False) -> None:
        """Takes what has arrived, or everything if `wait`."""
        while self._waiting and (wait or self._waiting[0][0].there()):
            copied, then = self._waiting.popleft()
            then(copied.value())


class _FromGpu:
    """A copy into page-locked memory, and the event that comes after it."""

    def __init__(self, number: torch.Tensor) -> None:
        self._host = torch.empty((), dtype=number.dtype, pin_memory=True)
        self._host.copy_(number, non_blocking=True)
        self._event: Any = torch.cuda.Event()
        self._event.record()

    def there(self) -> bool:
        return bool(self._event.query())

    def value(self) -> float:
        self._event.synchronize()
        return float(self._host.item())
