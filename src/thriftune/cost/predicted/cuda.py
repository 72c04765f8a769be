"""What a GPU adds to and changes in a step's memory, as PyTorch's CUDA sources document it.

Nothing here is fitted to a measurement. Each entry names the behaviour that it stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from thriftune.errors import unknown_name

GRANULE = 512
"""c10/cuda/CUDACachingAllocator: every block is rounded up to a multiple of kMinBlockSize."""

THREADS = 2
"""Forward runs in the caller's thread, backward in autograd's device thread; each has its own cuBLAS handle."""

MIB = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """What an estimate needs to know of a GPU."""

    memory_bytes: int | None
    capability: int
    """Major number of the compute capability."""

    @property
    def workspaces(self) -> int:
        """Bytes of cuBLAS workspaces, one per handle and stream (ATen/cuda/CublasHandlePool.cpp).

        32 MiB from Hopper on, before that `:4096:2:16:8`. cuBLASLt uses the same memory
        (TORCH_CUBLASLT_UNIFIED_WORKSPACE is on by default).
        """
        return THREADS * (32 * MIB if self.capability >= 9 else 2 * 4096 * 1024 + 8 * 16 * 1024)


GPUS = {
    "h200": Gpu(141_000_000_000, 9),
    "h100": Gpu(80 * 1024 * MIB, 9),
    "a100-80": Gpu(80 * 1024 * MIB, 8),
    "a100": Gpu(40 * 1024 * MIB, 8),
    "l40s": Gpu(48 * 1024 * MIB, 8),
    "a10": Gpu(24 * 1024 * MIB, 8),
    "l4": Gpu(24 * 1024 * MIB, 8),
    "rtx4090": Gpu(24 * 1024 * MIB, 8),
    "rtx3090": Gpu(24 * 1024 * MIB, 8),
    "v100": Gpu(16 * 1024 * MIB, 7),
    "t4": Gpu(16 * 1024 * MIB, 7),
}
"""Nominal memory of common cards; what the driver leaves is a little less."""


def find_gpu(name: str) -> Gpu:
    """A GPU by name; `cuda` is the one in this machine, or one of Hopper's generation where there is none.

    Raises `InputError` for an unknown name.
    """
    key = name.lower().removeprefix("nvidia").strip(" -_").replace(" ", "")
    if key in GPUS:
        return GPUS[key]
    if key != "cuda":
        raise unknown_name("Device", name, ["cpu", "cuda", *GPUS])
    if not torch.cuda.is_available():
        return Gpu(None, 9)
    properties = torch.cuda.get_device_properties(0)
    return Gpu(properties.total_memory, properties.major)


class CudaKernels(TorchFunctionMode):
    """Runs what CUDA runs where that saves something else for backward than the CPU does.

    Dropout is `native_dropout`, which saves a byte mask. Attention in float32 is the memory-efficient kernel, which
    saves query, key, value, output and a log-sum-exp per query row, and a float copy of a boolean mask.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Replaces the two functions, and leaves all others."""
        if func is nn.functional.dropout:
            return _dropout(*args, **(kwargs or {}))
        if func is nn.functional.scaled_dot_product_attention:
            return _attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _dropout(x: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    """at::dropout on CUDA (is_fused_kernel_acceptable)."""
    return torch.native_dropout(x, p, True)[0] if training and p > 0.0 else x


def _attention(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor:
    """at::scaled_dot_product_attention on CUDA: float32 has no flash kernel; shared heads have no efficient one."""
    if enable_gqa:
        out: torch.Tensor = torch.ops.aten._scaled_dot_product_attention_math(
            query, key, value, attn_mask, dropout_p, is_causal, None, scale=scale, enable_gqa=True
        )[0]
        return out
    if attn_mask is not None:
        attn_mask = _bias(attn_mask, query, key)
    saves = torch.is_grad_enabled() and any(part.requires_grad for part in (query, key, value))
    attended: torch.Tensor = torch.ops.aten._scaled_dot_product_efficient_attention(
        query, key, value, attn_mask, saves, dropout_p, is_causal, scale=scale
    )[0]
    return attended


def _bias(mask: torch.Tensor, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    """convert_boolean_attn_mask, then preprocess_mask: the last dimension padded to a multiple of 8."""
    if mask.dtype == torch.bool:
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(mask.logical_not(), -torch.inf)
    width = key.shape[-2]
    if width % 8:
        mask = nn.functional.pad(mask, (0, 8 - width % 8))[..., :width]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], width)
