"""What a float32 matrix product is on a GPU: float32, unless a run asks for less."""

from __future__ import annotations

import torch

from thriftune.engine.protocol import Protocol


def use_precision(protocol: Protocol) -> None:
    """Allows TF32 in matrix products and convolutions for `precision: tf32` alone, for the whole process.

    torch would use it in convolutions (DeBERTa-v2 has one) if nothing were said.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = protocol.precision == "tf32"
