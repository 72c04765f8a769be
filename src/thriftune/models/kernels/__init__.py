"""Compiled passes over packed rows for CPUs: attention, LayerNorm after a residual, GELU and dropout.

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

from thriftune.models.device import device_kind
from thriftune.models.kernels.build import build


def usable(*tensors: torch.Tensor) -> bool:
    """Whether the kernels take these tensors: on a CPU, all float32 or all float64, outside of autocast."""
    first = tensors[0]
    return (
        device_kind(first.device) in ("cpu", "meta")
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

    def forward(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """(rows, hidden), or (texts, hidden) if `first_only`; keys and values have one stride, see `dense`."""
        out: torch.Tensor = torch.ops.thriftune.attention(query, key, value, *self._rest())
        return out

    def backward(
        self, grad: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Gradients of query, key and value, with the strides of those and side by side where those are."""
        out: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
        out = torch.ops.thriftune.attention_backward(query, key, value, *self._rest(), grad)
        return out

    def _rest(self) -> tuple[Any, ...]:
        return (
            self.starts,
            self.lengths,
            self.heads,
            self.scale,
            self.rate,
            self.seed,
            self.first_only,
            self.window,
        )


class _Pool(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("query", "rows", "starts", "lengths")),
        *((name, c_int64) for name in ("texts", "heads", "width")),
        ("scale", c_double),
        ("rate", c_double),
        ("seed", c_uint64),
        ("threads", c_int),
    )


@dataclass(frozen=True)
class Pool:
    """A query per head of each text on its rows themselves: softmax(scale q rows') with dropout, times the rows."""

    starts: torch.Tensor
    """(texts,) first row of each text, int64."""
    lengths: torch.Tensor
    """(texts,) tokens of each text, int64."""
    scale: float
    rate: float
    seed: int

    def forward(self, query: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(heads, texts, hidden) like the queries, and the sums of the kept weights, (texts, heads)."""
        out: tuple[torch.Tensor, torch.Tensor] = torch.ops.thriftune.pool(query, rows, *self._rest())
        return out

    def backward(
        self, grad: torch.Tensor, grad_sums: torch.Tensor, query: torch.Tensor, rows: torch.Tensor, rows_too: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Gradients of the queries and, if `rows_too`, of the rows."""
        grads = torch.ops.thriftune.pool_backward(query, rows, *self._rest(), grad, grad_sums, rows_too)
        return grads[0], grads[1] if rows_too else None

    def _rest(self) -> tuple[Any, ...]:
        return self.starts, self.lengths, self.scale, self.rate, self.seed


def gelu(x: torch.Tensor) -> torch.Tensor:
    """x Phi(x)."""
    out: torch.Tensor = torch.ops.thriftune.gelu(x)
    return out


def gelu_backward(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """The gradient of `gelu` at x, times grad."""
    out: torch.Tensor = torch.ops.thriftune.gelu_backward(grad, x)
    return out


def dense(*tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Query, key and value as `Attention` takes them: views of one joint projection as they are, others contiguous."""
    widths = {(tensor.stride(0), tensor.stride(1)) for tensor in tensors[1:]}
    first, hidden = tensors[0], tensors[1].shape[1]
    together = first.stride() == tensors[1].stride() == (3 * hidden, 1) and widths == {(3 * hidden, 1)}
    pair = first.is_contiguous() and widths == {(2 * hidden, 1)}
    return tensors if together or pair else tuple(tensor.contiguous() for tensor in tensors)


def dropout(x: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
    """mask * x / (1 - rate), the mask being a function of the seed: its own backward."""
    out: torch.Tensor = torch.ops.thriftune.dropout(x, rate, seed)
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
    out: tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
    out = torch.ops.thriftune.add_norm(x, residual, weight, bias, eps, rate, seed)
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
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
    """Gradients of x and residual, and of weight and bias where those are `trained`."""
    grads = torch.ops.thriftune.add_norm_backward(grad, total, mean, scale, weight, rate, seed, trained)
    grad_x = grads[1] if rate > 0.0 else grads[0]
    return grad_x, grads[0], grads[-2] if trained else None, grads[-1] if trained else None


# The operators. Each runs for tensors with data and, on the meta device, gives shapes.


def _attention_arguments(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    starts: torch.Tensor,
    lengths: torch.Tensor,
    heads: int,
    scale: float,
    rate: float,
    seed: int,
    first_only: bool,
    window: int,
) -> _Attention:
    addresses = map(_address, (query, key, value, starts, lengths))
    sizes = (len(starts), heads, key.shape[1] // heads, query.stride(0), key.stride(0))
    return _Attention(*addresses, *sizes, first_only, window, scale, rate, seed, torch.get_num_threads())


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any) -> torch.Tensor:
    out = query.new_empty(query.shape)
    if not query.is_meta:
        _library(query).attend(byref(_attention_arguments(query, key, value, *rest)), _address(out))
    return out


def _attention_backward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest_and_grad: Any
) -> tuple[torch.Tensor, ...]:
    *rest, grad = rest_and_grad
    if query.stride(0) == 3 * query.shape[1]:
        grads = query.new_empty(len(query), 3 * query.shape[1]).chunk(3, 1)
    elif key.stride(0) == 2 * key.shape[1]:
        grads = (query.new_empty(query.shape), *key.new_empty(len(key), 2 * key.shape[1]).chunk(2, 1))
    else:
        grads = tuple(part.new_empty(part.shape) for part in (query, key, value))
    if not query.is_meta:
        arguments = _attention_arguments(query, key, value, *rest)
        _library(query).attend_backward(byref(arguments), *map(_address, (grad, *grads)))
    return grads


def _pool_arguments(
    query: torch.Tensor,
    rows: torch.Tensor,
    starts: torch.Tensor,
    lengths: torch.Tensor,
    scale: float,
    rate: float,
    seed: int,
) -> _Pool:
    heads, texts, width = query.shape
    addresses = map(_address, (query, rows, starts, lengths))
    return _Pool(*addresses, texts, heads, width, scale, rate, seed, torch.get_num_threads())


def _pool(query: torch.Tensor, rows: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    out, sums = torch.empty_like(query), query.new_empty(query.shape[1], query.shape[0])
    if not query.is_meta:
        _library(query).pool(byref(_pool_arguments(query, rows, *rest)), _address(out), _address(sums))
    return out, sums


def _pool_backward(query: torch.Tensor, rows: torch.Tensor, *rest_and_grads: Any) -> list[torch.Tensor]:
    *rest, grad, grad_sums, rows_too = rest_and_grads
    made = [torch.empty_like(query), *([torch.empty_like(rows)] if rows_too else [])]
    if not query.is_meta:
        tensors = (grad, grad_sums, made[0], made[1] if rows_too else None)
        _library(query).pool_backward(byref(_pool_arguments(query, rows, *rest)), *map(_address, tensors))
    return made


def _gelu(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    if not x.is_meta:
        _library(x).gelu(_address(x), _address(out), x.numel(), torch.get_num_threads())
    return out


def _gelu_backward(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(grad)
    if not x.is_meta:
        _library(x).gelu_backward(*map(_address, (grad, x, out)), x.numel(), torch.get_num_threads())
    return out


def _dropout(x: torch.Tensor, rate: float, seed: int) -> torch.Tensor:
    out = torch.empty_like(x)
    if not x.is_meta:
        _library(x).dropout(_address(x), _address(out), x.numel(), rate, seed, torch.get_num_threads())
    return out


def _add_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    rate: float,
    seed: int,
) -> tuple[torch.Tensor, ...]:
    made = (torch.empty_like(x), torch.empty_like(x), x.new_empty(len(x)), x.new_empty(len(x)))
    if not x.is_meta:
        tensors = map(_address, (x, residual, weight, bias, *made))
        _library(x).add_norm(*tensors, *x.shape, eps, rate, seed, torch.get_num_threads())
    return made


def _add_norm_backward(
    grad: torch.Tensor,
    total: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
    rate: float,
    seed: int,
    trained: bool,
) -> list[torch.Tensor]:
    made = [torch.empty_like(grad) for _ in range(2 if rate > 0.0 else 1)]
    made += [torch.empty_like(weight) for _ in range(2 if trained else 0)]
    if not grad.is_meta:
        parameters = made[-2:] if trained else (None, None)
        tensors = (grad, total, mean, scale, weight, made[0], made[1] if rate > 0.0 else made[0], *parameters)
        _library(grad).add_norm_backward(*map(_address, tensors), *grad.shape, rate, seed, torch.get_num_threads())
    return made


_REST = "Tensor starts, Tensor lengths, int heads, float scale, float rate, int seed, bool first_only, int window"
_POOL = "Tensor starts, Tensor lengths, float scale, float rate, int seed"
_OPERATORS = {
    f"attention(Tensor query, Tensor key, Tensor value, {_REST}) -> Tensor": _attention,
    f"attention_backward(Tensor query, Tensor key, Tensor value, {_REST}, Tensor grad) -> (Tensor, Tensor, Tensor)": (
        _attention_backward
    ),
    f"pool(Tensor query, Tensor rows, {_POOL}) -> (Tensor, Tensor)": _pool,
    f"pool_backward(Tensor query, Tensor rows, {_POOL}, Tensor grad, Tensor grad_sums, bool rows_too) -> Tensor[]": (
        _pool_backward
    ),
    "gelu(Tensor x) -> Tensor": _gelu,
    "gelu_backward(Tensor grad, Tensor x) -> Tensor": _gelu_backward,
    "dropout(Tensor x, float rate, int seed) -> Tensor": _dropout,
    "add_norm(Tensor x, Tensor residual, Tensor weight, Tensor bias, float eps, float rate, int seed)"
    " -> (Tensor, Tensor, Tensor, Tensor)": _add_norm,
    "add_norm_backward(Tensor grad, Tensor total, Tensor mean, Tensor scale, Tensor weight, float rate, int seed,"
    " bool trained) -> Tensor[]": _add_norm_backward,
}
# As operators they are seen by what counts memory and work.
_fragment = torch.library.Library("thriftune", "FRAGMENT")
for _schema, _function in _OPERATORS.items():
    _name = _schema.split("(", maxsplit=1)[0]
    _fragment.define(_schema)
    _fragment.impl(_name, _function, "CPU")
    _fragment.impl(_name, _function, "Meta")


SIGNATURES: dict[str, tuple[Any, ...]] = {
    "attend": (POINTER(_Attention), c_void_p),
    "attend_backward": (POINTER(_Attention), *[c_void_p] * 4),
    "pool": (POINTER(_Pool), c_void_p, c_void_p),
    "pool_backward": (POINTER(_Pool), *[c_void_p] * 4),
    "gelu": (c_void_p, c_void_p, c_int64, c_int),
    "gelu_backward": (c_void_p, c_void_p, c_void_p, c_int64, c_int),
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
