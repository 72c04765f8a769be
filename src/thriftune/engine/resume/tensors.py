"""Tensors to a safetensors file and back, one at a time: what is written is never in memory twice.

safetensors' own writer holds a copy of everything until the file is there, and its reader maps the file, which counts
as the process's memory too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from thriftune.models.weights import DTYPES

NAMES = {name: dtype for dtype, name in DTYPES.items()}


@dataclass(frozen=True)
class Stored:
    """A tensor in a file."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    bytes: int

    def load(self) -> torch.Tensor:
        """Reads it into memory; raises `ValueError` where the file ends before it does."""
        tensor = torch.empty(self.shape, dtype=self.dtype)
        if not self.bytes:
            return tensor
        with self.path.open("rb") as file:
            file.seek(self.start)
            if file.readinto(tensor.reshape(-1).view(torch.uint8).numpy().data) != self.bytes:
                raise ValueError(f"{self.path} ends within a tensor")
        return tensor


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """Writes tensors of any device, by name, in the safetensors format."""
    header, place = {}, 0
    for name, tensor in tensors.items():
        end = place + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for tensor in tensors.values():
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            if flat.numel():
                file.write(flat.view(torch.uint8).numpy().data)


def stored_tensors(path: Path) -> dict[str, Stored]:
    """The tensors of a file, by name, none of them read."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    return {
        name: Stored(
            path,
            NAMES[about["dtype"]],
            tuple(about["shape"]),
            8 + length + about["data_offsets"][0],
            about["data_offsets"][1] - about["data_offsets"][0],
        )
        for name, about in header.items()
        if name != "__metadata__"
    }
