"""Compiled passes over packed rows for CPUs: attention, LayerNorm after a residual, and dropout.

They save less than torch's operations do and read each tensor once; `usable` says where they apply. Fake and meta
tensors pass through as shapes, so that a step's memory can be counted without running it.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_double, c_int, c_int64, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor

from thriftune.models.kernels.build import build


def usable(*tensors: torch.Tensor) -> bool:
    """Whether the kernels take these tensors: on a CPU, all float32 or all float64, outside of autocast."""
    first = tensors[0]
    return (
        first.device.type in ("cpu", "meta")
        and all(tensor.dtype == first.dtype for tensor in tensors)
        and first.dtype in (torch.float32, torch.float64)
        and not torch.is_autocast_enabled("cpu")
        and build().reason is None
    )


def lanes(x: torch.Tensor) -> int:
    """Elements that one vector holds; widths must be multiples of it."""
    return 32 // x.element_size()


def draw_seed(x: torch.Tensor) -> int:
    """A seed for one dropout, from torch's default generator (a fixed one for fake tensors)."""
    return 0 if _is_shape(x) else int(torch.randint(1 << 62, ()).item())


class _Attention(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("query", "key", "value", "starts", "lengths")),
        *((name, c_int64) for name in ("texts", "heads", "size", "query_stride", "stride")),
        ("first_only", c_int),
        ("window", c_int64),
        ("scale", c_double),
        ("rate", c_double),
        ("seed", c_uint64),
        ("threads", c_int),
    )


@dataclass(frozen=True)
class Attention:
    """Self-attention inside each text, softmax(scale q k') with dropout, times v."""

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

    def _arguments(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> _Attention:
        return _Attention(
            *(_address(part) for part in (query, key, value, self.starts, self.lengths)),
            len(self.starts),
            self.heads,
            key.shape[1] // self.heads,
            query.stride(0),
            key.stride(0),
            self.first_only,
            self.window,
            self.scale,
            self.rate,
            self.seed,
            torch.get_num_threads(),
        )

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """(rows, hidden), or (texts, hidden) if `first_only`; keys and values have one stride, see `dense`."""
        out = query.new_empty(query.shape)
        if not _is_shape(query):
            _library(query).attend(byref(self._arguments(query, key, value)), _address(out))
        return out

    def backward(
        self, grad: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradients of query, key and value, with the strides of those and side by side where those are."""
        if query.stride(0) == 3 * query.shape[1]:
            grad_query, grad_key, grad_value = query.new_empty(len(query), 3 * query.shape[1]).chunk(3, 1)
        else:
            grad_query = query.new_empty(query.shape)
            pair = key.stride(0) == 2 * key.shape[1]
            joint = key.new_empty(len(key), 2 * key.shape[1]).chunk(2, 1) if pair else None
            grad_key, grad_value = joint or (key.new_empty(key.shape), value.new_empty(value.shape))
        if not _is_shape(query):
            arguments = self._arguments(query, key, value)
            addresses = map(_address, (grad, grad_query, grad_key, grad_value))
            _library(query).attend_backward(byref(arguments), *addresses)
        return grad_query, grad_key, grad_value


def dense(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Query, key and value as `Attention` takes them: views of one joint projection as they are, others contiguous."""
    widths = {(tensor.stride(0), tensor.stride(1)) for tensor in tensors[1:]}
    first, hidden = tensors[0], tensors[1].shape[1]
    together = first.stride() == tensors[1].stride() == (3 * hidden, 1) and widths == {(3 * hidden, 1)}
    pair = first.is_contiguous() and widths == {(2 * hidden, 1)}
    return tensors if together or pair else tuple(tensor.contiguous() for tensor in tensors)


def dropout(x: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
    """mask * x / (1 - rate), the mask being a function of the seed: its own backward."""
    out = torch.empty_like(x)
    if not _is_shape(x):
        _library(x).dropout(_address(x), _address(out), x.numel(), rate, seed, torch.get_num_threads())
    return out


def add_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    rate: float,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """LayerNorm of residual + dropout(x), all (rows, hidden), and what its backward needs: the sum, mean and scale."""
    out, total = torch.empty_like(x), torch.empty_like(x)
    mean, scale = x.new_empty(len(x)), x.new_empty(len(x))
    if not _is_shape(x):
        tensors = map(_address, (x, residual, weight, bias, out, total, mean, scale))
        _library(x).add_norm(*tensors, *x.shape, eps, rate, seed, torch.get_num_threads())
    return out, total, mean, scale


def add_norm_backward(
    grad: torch.Tensor,
    total: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
    rate: float,
    seed: int,
    trained: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Gradients of x and residual, and of weight and bias where those are `trained`."""
    grad_residual = torch.empty_like(grad)
    grad_x = torch.empty_like(grad) if rate > 0.0 else grad_residual
    grad_weight, grad_bias = (torch.empty_like(weight), torch.empty_like(weight)) if trained else (None, None)
    if not _is_shape(grad):
        tensors = (grad, total, mean, scale, weight, grad_residual, grad_x, grad_weight, grad_bias)
        _library(grad).add_norm_backward(*map(_address, tensors), *grad.shape, rate, seed, torch.get_num_threads())
    return grad_x, grad_residual, grad_weight, grad_bias


SIGNATURES: dict[str, tuple[Any, ...]] = {
    "attend": (POINTER(_Attention), c_void_p),
    "attend_backward": (POINTER(_Attention), *[c_void_p] * 4),
    "dropout": (c_void_p, c_void_p, c_int64, c_double, c_uint64, c_int),
    "add_norm": (*[c_void_p] * 8, c_int64, c_int64, c_double, c_double, c_uint64, c_int),
    "add_norm_backward": (*[c_void_p] * 9, c_int64, c_int64, c_double, c_uint64, c_int),
}


def _library(x: torch.Tensor) -> ctypes.CDLL:
    library = build().libraries[x.dtype]
    if library.attend.argtypes is None:
        for name, types in SIGNATURES.items():
            function = getattr(library, name)
            function.argtypes, function.restype = types, None
    return library


def _is_shape(x: torch.Tensor) -> bool:
    return x.is_meta or isinstance(x, FakeTensor)


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
