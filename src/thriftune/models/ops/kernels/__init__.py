"""Compiled passes over packed rows for CPUs: attention, LayerNorm after a residual, GELU and dropout.

They save less than torch's operations do and read each tensor once; `usable` says where they apply. Fake and meta
tensors pass through as shapes, so that a step's memory can be counted without running it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from thriftune.models.device import device_kind
from thriftune.models.ops.kernels import operators as operators
from thriftune.models.ops.kernels.build import TYPES, build


def usable(*tensors: torch.Tensor) -> bool:
    """Whether the kernels take these tensors: on a CPU, all of one dtype that they know, outside of autocast."""
    dtype = tensors[0].dtype
    for tensor in tensors:
        if tensor.dtype != dtype:
            return False
    if dtype not in TYPES or device_kind(tensors[0].device) not in ("cpu", "meta"):
        return False
    return not torch.is_autocast_enabled("cpu") and build().reason is None


compiled: Any = torch.ops.thriftune
"""The operators, by name."""


def _called(x: torch.Tensor, name: str) -> Any:
    """The operator; where nothing but the result is wanted the function behind it, which is twice as fast to call.

    What such a function allocates is still seen by what counts memory.
    """
    if type(x) is torch.Tensor and not x.is_meta and torch.is_inference_mode_enabled():
        return getattr(operators, f"_{name}")
    return getattr(compiled, name)


MOST_LANES = 8
"""`lanes` of float32, which has the most."""


def lanes(x: torch.Tensor) -> int:
    """Elements that one vector holds, bfloat16 as float32; widths must be multiples of it."""
    return 32 // max(4, x.element_size())


def draw_seed(x: torch.Tensor, rate: float) -> int:
    """A seed for one dropout, from torch's default generator; 0, undrawn, where none drops and for fake tensors."""
    return int(torch.randint(1 << 62, ()).item()) if rate > 0.0 and not _is_shape(x) else 0


@dataclass(frozen=True)
class Attention:
    """Self-attention inside each text, softmax(scale q k' + bias) with dropout, times v.

    A bias (heads, distances) belongs to the distance key - query: that of d is at `zero` + d. It is contiguous and
    goes on for two vectors beyond the distances that occur.
    """

    starts: torch.Tensor
    """(texts,) first row of each text, int64."""
    lengths: torch.Tensor
    """(texts,) tokens of each text, int64."""
    heads: int
    scale: float
    rate: float
    seed: int
    first_only: bool = False
    """Whether the queries are those of the first tokens alone, (texts, hidden)."""
    window: int = -1
    """Keys farther away than this are not seen; -1: all are."""
    zero: int = 0
    first: int = 0
    """From which element dropout counts."""

    def forward(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """(rows, hidden), or (texts, hidden) if `first_only`; all tensors are contiguous."""
        out: torch.Tensor = _called(query, "attention")(query, key, value, *self._rest(), bias, self.zero)
        return out

    def backward(
        self,
        grad: torch.Tensor,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        bias: torch.Tensor | None = None,
        bias_too: bool = False,
    ) -> list[torch.Tensor]:
        """Gradients of query, key and value; the bias's follows if `bias_too`."""
        rest = (*self._rest(), bias, self.zero)
        out: list[torch.Tensor] = compiled.attention_backward(query, key, value, *rest, grad, bias_too)
        return out

    def _rest(self) -> tuple[Any, ...]:
        return (
            self.starts,
            self.lengths,
            self.heads,
            self.scale,
            self.rate,
            self.seed,
            self.first,
            self.first_only,
            self.window,
        )


@dataclass(frozen=True)
class Pool:
    """A query per head of each text on its rows themselves: softmax(scale q rows' + bias) with dropout, times the rows.

    The bias is as in `Attention`, the query that of the first token.
    """

    starts: torch.Tensor
    """(texts,) first row of each text, int64."""
    lengths: torch.Tensor
    """(texts,) tokens of each text, int64."""
    scale: float
    rate: float
    seed: int
    zero: int = 0
    first: int = 0
    """From which element dropout counts."""

    def forward(
        self, query: torch.Tensor, rows: torch.Tensor, bias: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(heads, texts, hidden) like the queries, and the sums of the kept weights, (texts, heads)."""
        out: tuple[torch.Tensor, torch.Tensor] = compiled.pool(query, rows, *self._rest(), bias, self.zero)
        return out

    def backward(
        self,
        grad: torch.Tensor,
        grad_sums: torch.Tensor,
        query: torch.Tensor,
        rows: torch.Tensor,
        rows_too: bool,
        bias: torch.Tensor | None = None,
        bias_too: bool = False,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Gradients of the queries and, if `rows_too`, of the rows, and, if `bias_too`, of the bias."""
        rest = (*self._rest(), bias, self.zero)
        grads = compiled.pool_backward(query, rows, *rest, grad, grad_sums, rows_too, bias_too)
        return grads[0], grads[1] if rows_too else None, grads[-1] if bias_too else None

    def _rest(self) -> tuple[Any, ...]:
        return self.starts, self.lengths, self.scale, self.rate, self.seed, self.first


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x Phi(x)."""
    out: torch.Tensor = _called(x, "gelu")(x)
    return out


def gelu_backward(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient of `gelu` at x, times grad."""
    out: torch.Tensor = compiled.gelu_backward(grad, x)
    return out


def multiplies(rows: torch.Tensor, weight: torch.Tensor, turned: bool) -> bool:
    """Whether `product` takes these and is faster than torch's: whole vectors, of 32 bytes.

    Processors with wider vectors (AVX-512) are left to torch's library.
    """
    return (
        rows.shape[0] > 0
        and weight.shape[0 if turned else 1] % lanes(rows) == 0
        and weight.stride(1) == 1
        and instructions() == "AVX2"
        and usable(rows, weight)
    )


def widens(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether `wide` takes these and is faster than torch's: (rows, depth) and either side of a product with it."""
    same = left.dtype == right.dtype or (left.dtype == torch.bfloat16 and right.dtype == torch.float32)
    return (
        same
        and left.dtype in WIDE
        and has_wide(left.dtype)
        and left.stride(1) == right.stride(1) == 1
        and min(left.shape) > 0
        and min(right.shape) > 0
        and usable(left)
        and (left.dtype == torch.float32 or _in_pairs(left, right))
    )


def _in_pairs(*sides: torch.Tensor) -> bool:
    """Whether rows of bfloat16 are whole pairs of numbers."""
    return all(not (side.shape[1] % 2 or side.stride(0) % 2) for side in sides if side.dtype == torch.bfloat16)


WIDE = (torch.float32, torch.bfloat16)


@cache
def has_wide(dtype: torch.dtype) -> bool:
    """Whether products with vectors of 64 bytes are there and the fastest: float32 on AMD's processors.

    Intel's have torch's library at its full width, and those with matrix tiles (AMX) a faster unit for bfloat16.
    """
    if build().reason is not None or not hasattr(build().libraries[dtype], "wide_product"):
        return False
    return made_by_amd() if dtype == torch.float32 else "amx_bf16" not in flags()


@cache
def multiplies_narrow() -> bool:
    """Whether this processor has a unit for bfloat16: AVX512-BF16 or AMX."""
    return not flags().isdisjoint(("avx512_bf16", "amx_bf16"))


@cache
def has_narrow() -> bool:
    """Whether rows of bfloat16 are worth it: the unit is there, and the kernels."""
    return multiplies_narrow() and build().reason is None


def wide(
    left: torch.Tensor,
    right: torch.Tensor,
    bias: torch.Tensor | None = None,
    left_turned: bool = False,
    right_turned: bool = False,
    narrow: bool = False,
) -> torch.Tensor:
    """left (rows, depth) times right (depth, columns), plus bias (columns,) of float32, in bfloat16 if `narrow`.

    `left_turned`: left is (depth, rows); `right_turned`: right is (columns, depth). Both are of one dtype, or left is
    bfloat16 and right is rounded to it.
    """
    out: torch.Tensor = _called(left, "wide")(left, right, bias, left_turned, right_turned, narrow)
    return out


def wide_add(
    out: torch.Tensor,
    left: torch.Tensor,
    right: torch.Tensor,
    left_turned: bool = False,
    right_turned: bool = False,
) -> None:
    """Adds the product of `wide` to what `out` (rows, columns) holds."""
    compiled.wide_add(out, left, right, left_turned, right_turned)


@cache
def made_by_amd() -> bool:
    """Whether the processor says that it is AMD's."""
    return "AuthenticAMD" in _cpuinfo()


@cache
def flags() -> frozenset[str]:
    """What the processor can do, in Linux's words."""
    lines = [line for line in _cpuinfo().splitlines() if line.startswith("flags")]
    return frozenset(lines[0].partition(":")[2].split()) if lines else frozenset()


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


@cache
def instructions() -> str:
    """The processor's widest vectors that torch uses: AVX2, AVX512, DEFAULT .."""
    return torch.backends.cpu.get_cpu_capability()


def product(rows: torch.Tensor, weight: torch.Tensor, turned: bool, bias: torch.Tensor | None = None) -> torch.Tensor:
    """Rows (rows, in) times a weight (in, out), or (out, in) if `turned`, plus bias (out,)."""
    out: torch.Tensor = compiled.product(rows, weight, turned, bias)
    return out


def column_sums(x: torch.Tensor) -> torch.Tensor:
    """The sums of (rows, width) over the rows, (width,); float32 of bfloat16."""
    out: torch.Tensor = compiled.column_sums(x)
    return out


def dropout(x: torch.Tensor, rate: float, seed: int, first: int = 0) -> torch.Tensor:
    """mask * x / (1 - rate), the mask being a function of the seed and of places counted from `first`: its own
    backward."""
    out: torch.Tensor = compiled.dropout(x, rate, seed, first)
    return out


def add_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    rate: float,
    seed: int,
    first: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """LayerNorm of residual + dropout(x), all (rows, hidden), and what its backward needs: the sum, mean and scale."""
    out: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    out = _called(x, "add_norm")(x, residual, weight, bias, eps, rate, seed, first)
    return out


def add_norm_backward(
    grad: torch.Tensor,
    total: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
    rate: float,
    seed: int,
    trained: bool,
    first: int = 0,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Gradients of x and residual, and of weight and bias where those are `trained`."""
    grads = compiled.add_norm_backward(grad, total, mean, scale, weight, rate, seed, first, trained)
    grad_x = grads[1] if rate > 0.0 else grads[0]
    return grad_x, grads[0], grads[-2] if trained else None, grads[-1] if trained else None


def _is_shape(x: torch.Tensor) -> bool:
    return x.is_meta or isinstance(x, FakeTensor)
