"""What a float32 matrix product is on a GPU: float32, unless a run asks for less."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from thriftune.engine.protocol import Protocol


def use_precision(protocol: Protocol) -> None:
    """Allows TF32 in matrix products and convolutions for `precision: tf32` alone, for the whole process.

    torch would use it in convolutions (DeBERTa-v2 has one) if nothing were said.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = protocol.precision == "tf32"


@contextmanager
def float32_products() -> Iterator[None]:
    """Products are float32 inside, whatever the run asks for: for a comparison of numbers that should agree."""
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before
