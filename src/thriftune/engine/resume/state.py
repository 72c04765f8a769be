"""States: trees of plain values, arrays and tensors, as JSON and a file of tensors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thriftune.engine.resume.tensors import Stored, stored_tensors, write_tensors

State = dict[str, Any]
"""Of None, bool, int, float, str, arrays, tensors, and lists and dicts of these."""
STATE, TENSORS = "state.json", "tensors.safetensors"
TENSOR, ARRAY, FLOAT = "$tensor", "$array", "$float"


def write_state(folder: Path, state: State) -> None:
    """Writes a state's two files; each tensor is written from where it lies."""
    tensors: dict[str, torch.Tensor] = {}
    plain = _plain(state, "", tensors)
    write_tensors(folder / TENSORS, tensors)
    (folder / STATE).write_text(json.dumps(plain, allow_nan=False), encoding="utf-8")


def read_state(folder: Path) -> State:
    """A state as it was written; tensors are `Stored`, to be loaded one by one, arrays are there."""
    plain = json.loads((folder / STATE).read_text(encoding="utf-8"))
    read: State = _read(plain, stored_tensors(folder / TENSORS))
    return read


def _plain(value: Any, path: str, tensors: dict[str, torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        tensors[path] = value
        return {TENSOR: path}
    if isinstance(value, np.ndarray):
        tensors[path] = torch.from_numpy(np.ascontiguousarray(value))
        return {ARRAY: path, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {FLOAT: repr(float(value))}
    if isinstance(value, dict):
        return {key: _plain(each, f"{path}/{key}", tensors) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each, f"{path}/{index}", tensors) for index, each in enumerate(value)]
    return value


def _read(value: Any, tensors: dict[str, Stored]) -> Any:
    if isinstance(value, list):
        return [_read(each, tensors) for each in value]
    if not isinstance(value, dict):
        return value
    if TENSOR in value:
        return tensors[value[TENSOR]]
    if ARRAY in value:
        return tensors[value[ARRAY]].load().numpy().reshape(value["shape"])
    if FLOAT in value:
        return float(value[FLOAT])
    return {key: _read(each, tensors) for key, each in value.items()}
