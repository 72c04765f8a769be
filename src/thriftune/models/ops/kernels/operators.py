"""The compiled kernels as operators of torch, so that what counts memory and work sees them.

Each runs for tensors with data and, on the meta device, gives shapes.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, byref, c_double, c_int, c_int64, c_uint64, c_void_p
from functools import cache
from typing import Any

import torch

from thriftune.models.ops.kernels.build import build

SMALL = 1 << 14
"""Numbers that one thread passes over in microseconds."""


class _Attention(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("query", "key", "value", "starts", "lengths", "bias")),
        *((name, c_int64) for name in ("texts", "heads", "size", "distances", "zero")),
        ("first_only", c_int),
        ("window", c_int64),
        ("scale", c_double),
        ("rate", c_double),
        ("seed", c_uint64),
        ("first", c_int64),
        ("threads", c_int),
    )


class _Pool(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("query", "rows", "starts", "lengths", "bias")),
        *((name, c_int64) for name in ("texts", "heads", "width", "distances", "zero")),
        ("scale", c_double),
        ("rate", c_double),
        ("seed", c_uint64),
        ("first", c_int64),
        ("threads", c_int),
    )


class _Product(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("rows", "weight", "bias")),
        *((name, c_int64) for name in ("count", "in", "out", "rows_stride", "weight_stride")),
        ("turned", c_int),
        ("threads", c_int),
    )


class _Wide(Structure):
    _fields_ = (
        *((name, c_void_p) for name in ("left", "right", "bias")),
        *((name, c_int64) for name in ("rows", "columns", "depth", "left_stride", "right_stride")),
        *((name, c_int) for name in ("left_turned", "right_turned", "right_whole", "narrow", "add")),
        ("spare", c_void_p),
        ("threads", c_int),
    )


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
    first: int,
    first_only: bool,
    window: int,
    bias: torch.Tensor | None,
    zero: int,
) -> _Attention:
    addresses = map(_address, (query, key, value, starts, lengths, bias))
    distances = 0 if bias is None else bias.stride(0)
    sizes = (len(starts), heads, key.shape[1] // heads, distances, zero)
    return _Attention(*addresses, *sizes, first_only, window, scale, rate, seed, first, _threads(key))


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest: Any) -> torch.Tensor:
    out = query.new_empty(query.shape)
    if not query.is_meta:
        _library(query).attend(byref(_attention_arguments(query, key, value, *rest)), _address(out))
    return out


def _attention_backward(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *rest_and_grad: Any
) -> list[torch.Tensor]:
    *rest, grad, bias_too = rest_and_grad
    parts = _bias_parts(rest[0], rest[-2]) if bias_too else None
    grads = [part.new_empty(part.shape) for part in (query, key, value)]
    if not query.is_meta:
        arguments = _attention_arguments(query, key, value, *rest)
        _library(query).attend_backward(byref(arguments), *map(_address, (grad, *grads, parts)))
    return [*grads, *([] if parts is None else [parts.sum(0)])]


def _bias_parts(starts: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Room for each text's part of a bias's gradient, so that their sum does not depend on who computes which."""
    return bias.new_zeros(len(starts), *bias.shape)


def _pool_arguments(
    query: torch.Tensor,
    rows: torch.Tensor,
    starts: torch.Tensor,
    lengths: torch.Tensor,
    scale: float,
    rate: float,
    seed: int,
    first: int,
    bias: torch.Tensor | None,
    zero: int,
) -> _Pool:
    heads, texts, width = query.shape
    addresses = map(_address, (query, rows, starts, lengths, bias))
    distances = 0 if bias is None else bias.stride(0)
    return _Pool(*addresses, texts, heads, width, distances, zero, scale, rate, seed, first, torch.get_num_threads())


def _pool(query: torch.Tensor, rows: torch.Tensor, *rest: Any) -> tuple[torch.Tensor, torch.Tensor]:
    out, sums = torch.empty_like(query), query.new_empty(query.shape[1], query.shape[0])
    if not query.is_meta:
        _library(query).pool(byref(_pool_arguments(query, rows, *rest)), _address(out), _address(sums))
    return out, sums


def _pool_backward(query: torch.Tensor, rows: torch.Tensor, *rest_and_grads: Any) -> list[torch.Tensor]:
    *rest, grad, grad_sums, rows_too, bias_too = rest_and_grads
    made = [torch.empty_like(query), *([torch.empty_like(rows)] if rows_too else [])]
    parts = _bias_parts(rest[0], rest[-2]) if bias_too else None
    if not query.is_meta:
        tensors = (grad, grad_sums, made[0], made[1] if rows_too else None, parts)
        _library(query).pool_backward(byref(_pool_arguments(query, rows, *rest)), *map(_address, tensors))
    return [*made, *([] if parts is None else [parts.sum(0)])]


def _gelu(x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(x)
    if not x.is_meta:
        _library(x).gelu(_address(x), _address(out), x.numel(), _threads(x))
    return out


def _gelu_backward(grad: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(grad)
    if not x.is_meta:
        _library(x).gelu_backward(*map(_address, (grad, x, out)), x.numel(), torch.get_num_threads())
    return out


def _dropout(x: torch.Tensor, rate: float, seed: int, first: int) -> torch.Tensor:
    out = torch.empty_like(x)
    if not x.is_meta:
        _library(x).dropout(_address(x), _address(out), x.numel(), rate, seed, first, torch.get_num_threads())
    return out


def _add_norm(
    x: torch.Tensor,
    residual: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    eps: float,
    rate: float,
    seed: int,
    first: int,
) -> tuple[torch.Tensor, ...]:
    made = (torch.empty_like(x), torch.empty_like(x), weight.new_empty(len(x)), weight.new_empty(len(x)))
    if not x.is_meta:
        tensors = map(_address, (x, residual, weight, bias, *made))
        _library(x).add_norm(*tensors, *x.shape, eps, rate, seed, first, _threads(x))
    return made


def _add_norm_backward(
    grad: torch.Tensor,
    total: torch.Tensor,
    mean: torch.Tensor,
    scale: torch.Tensor,
    weight: torch.Tensor,
    rate: float,
    seed: int,
    first: int,
    trained: bool,
) -> list[torch.Tensor]:
    made = [torch.empty_like(grad) for _ in range(2 if rate > 0.0 else 1)]
    made += [torch.empty_like(weight) for _ in range(2 if trained else 0)]
    if not grad.is_meta:
        parameters = made[-2:] if trained else (None, None)
        tensors = (grad, total, mean, scale, weight, made[0], made[1] if rate > 0.0 else made[0], *parameters)
        _library(grad).add_norm_backward(
            *map(_address, tensors), *grad.shape, rate, seed, first, torch.get_num_threads()
        )
    return made


def _product(rows: torch.Tensor, weight: torch.Tensor, turned: bool, bias: torch.Tensor | None) -> torch.Tensor:
    width, depth = weight.shape if turned else weight.shape[::-1]
    fits = depth == rows.shape[1] and weight.dtype == rows.dtype
    if not fits or (bias is not None and (bias.shape != (width,) or bias.dtype != rows.dtype)):
        given = ", ".join(str(tuple(tensor.shape)) for tensor in (rows, weight, bias) if tensor is not None)
        raise ValueError(f"{given} do not fit, in size or in dtype")
    out = rows.new_empty(len(rows), width)
    if not rows.is_meta:
        sizes = (*rows.shape, width, rows.stride(0), weight.stride(0))
        arguments = _Product(*map(_address, (rows, weight, bias)), *sizes, turned, torch.get_num_threads())
        _library(rows).product(byref(arguments), out.data_ptr())
    return out


def _wide(
    left: torch.Tensor,
    right: torch.Tensor,
    bias: torch.Tensor | None,
    left_turned: bool,
    right_turned: bool,
    narrow: bool,
) -> torch.Tensor:
    rows = left.shape[1] if left_turned else left.shape[0]
    columns = right.shape[0] if right_turned else right.shape[1]
    out = left.new_empty(rows, columns, dtype=torch.bfloat16 if narrow else torch.float32)
    _wide_into(out, left, right, bias, left_turned, right_turned, add=False)
    return out


def _wide_add(
    out: torch.Tensor, left: torch.Tensor, right: torch.Tensor, left_turned: bool, right_turned: bool
) -> None:
    _wide_into(out, left, right, None, left_turned, right_turned, add=True)


def _wide_into(
    out: torch.Tensor,
    left: torch.Tensor,
    right: torch.Tensor,
    bias: torch.Tensor | None,
    left_turned: bool,
    right_turned: bool,
    add: bool,
) -> None:
    depth, other = left.shape[0 if left_turned else 1], right.shape[1 if right_turned else 0]
    if depth != other or (bias is not None and (bias.shape != out.shape[1:] or bias.dtype != torch.float32)):
        given = ", ".join(str(tuple(tensor.shape)) for tensor in (left, right, bias) if tensor is not None)
        raise ValueError(f"{given} do not fit, in size or in dtype")
    paired = left_turned and left.dtype == torch.bfloat16
    spare = left.new_empty(depth + depth % 2, left.shape[1]) if paired else None
    if left.is_meta:
        return
    arguments = _Wide(
        *map(_address, (left, right, bias)),
        *(*out.shape, depth, left.stride(0), right.stride(0)),
        *(left_turned, right_turned, left.dtype != right.dtype, out.dtype == torch.bfloat16, add),
        *(_address(spare), torch.get_num_threads()),
    )
    _library(left).wide_product(byref(arguments), out.data_ptr())


def _column_sums(x: torch.Tensor) -> torch.Tensor:
    out = x.new_empty(x.shape[1], dtype=torch.promote_types(x.dtype, torch.float32))
    if not x.is_meta:
        _library(x).column_sums(_address(x), _address(out), *x.shape, x.stride(0), _threads(x))
    return out


_BIAS = "Tensor? bias, int zero"
_REST = (
    "Tensor starts, Tensor lengths, int heads, float scale, float rate, int seed, int first, bool first_only,"
    " int window, " + _BIAS
)
_POOL = f"Tensor starts, Tensor lengths, float scale, float rate, int seed, int first, {_BIAS}"
_OPERATORS = {
    f"attention(Tensor query, Tensor key, Tensor value, {_REST}) -> Tensor": _attention,
    f"attention_backward(Tensor query, Tensor key, Tensor value, {_REST}, Tensor grad, bool bias_too) -> Tensor[]": (
        _attention_backward
    ),
    f"pool(Tensor query, Tensor rows, {_POOL}) -> (Tensor, Tensor)": _pool,
    f"pool_backward(Tensor query, Tensor rows, {_POOL}, Tensor grad, Tensor grad_sums, bool rows_too, bool bias_too)"
    " -> Tensor[]": _pool_backward,
    "gelu(Tensor x) -> Tensor": _gelu,
    "gelu_backward(Tensor grad, Tensor x) -> Tensor": _gelu_backward,
    "dropout(Tensor x, float rate, int seed, int first) -> Tensor": _dropout,
    "add_norm(Tensor x, Tensor residual, Tensor weight, Tensor bias, float eps, float rate, int seed, int first)"
    " -> (Tensor, Tensor, Tensor, Tensor)": _add_norm,
    "add_norm_backward(Tensor grad, Tensor total, Tensor mean, Tensor scale, Tensor weight, float rate, int seed,"
    " int first, bool trained) -> Tensor[]": _add_norm_backward,
    "product(Tensor rows, Tensor weight, bool turned, Tensor? bias) -> Tensor": _product,
    "wide(Tensor left, Tensor right, Tensor? bias, bool left_turned, bool right_turned, bool narrow) -> Tensor": _wide,
    "column_sums(Tensor x) -> Tensor": _column_sums,
    "wide_add(Tensor(a!) out, Tensor left, Tensor right, bool left_turned, bool right_turned) -> ()": _wide_add,
}
_operators = torch.library.Library("thriftune", "DEF")
for _schema, _function in _OPERATORS.items():
    _name = _schema.split("(", maxsplit=1)[0]
    _operators.define(_schema)
    _operators.impl(_name, _function, "CPU")
    _operators.impl(_name, _function, "Meta")


SIGNATURES: dict[str, tuple[Any, ...]] = {
    "attend": (POINTER(_Attention), c_void_p),
    "attend_backward": (POINTER(_Attention), *[c_void_p] * 5),
    "pool": (POINTER(_Pool), c_void_p, c_void_p),
    "pool_backward": (POINTER(_Pool), *[c_void_p] * 5),
    "product": (POINTER(_Product), c_void_p),
    "wide_product": (POINTER(_Wide), c_void_p),
    "gelu": (c_void_p, c_void_p, c_int64, c_int),
    "gelu_backward": (c_void_p, c_void_p, c_void_p, c_int64, c_int),
    "column_sums": (c_void_p, c_void_p, c_int64, c_int64, c_int64, c_int),
    "dropout": (c_void_p, c_void_p, c_int64, c_double, c_uint64, c_int64, c_int),
    "add_norm": (*[c_void_p] * 8, c_int64, c_int64, c_double, c_double, c_uint64, c_int64, c_int),
    "add_norm_backward": (*[c_void_p] * 9, c_int64, c_int64, c_double, c_uint64, c_int64, c_int),
}


def _library(x: torch.Tensor) -> ctypes.CDLL:
    return _typed_library(x.dtype)


@cache
def _typed_library(dtype: torch.dtype) -> ctypes.CDLL:
    library = build().libraries[dtype]
    for name, types in SIGNATURES.items():
        function = getattr(library, name, None)
        if function is None:  # wide products, on processors without their vectors
            continue
        function.argtypes, function.restype = types, None
    return library


def _threads(x: torch.Tensor) -> int:
    """One where a second thread would be waited for longer than it helps; results do not depend on it."""
    return 1 if x.numel() < SMALL else torch.get_num_threads()


def _address(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()
