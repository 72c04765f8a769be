"""Which code path a device takes, its own or the one that an estimate asks for, and when its work is done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_pretended: ContextVar[str | None] = ContextVar("pretended device", default=None)


def device_kind(device: torch.device) -> str:
    """cpu or cuda (or another device's type): what the engine chooses its code by."""
    return _pretended.get() or device.type


@contextmanager
def pretend(kind: str) -> Iterator[None]:
    """Makes tensors without data take the path of another device."""
    token = _pretended.set(kind)
    try:
        yield
    finally:
        _pretended.reset(token)


def synchronize(device: torch.device) -> None:
    """Waits for a GPU's queued work, so that a clock read next tells the truth; does nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
