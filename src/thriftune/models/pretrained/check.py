"""Checks a model's weights before anything is trained: every tensor of its encoder is there, and its numbers are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from thriftune.errors import InputError
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.checkpoint import stream
from thriftune.models.pretrained.folder import identity
from thriftune.models.pretrained.load import used_tensors
from thriftune.models.weights import FLOATS


def check_model(folder: Path, labels: tuple[str, ...], head: HeadSettings | None = None) -> None:
    """Raises `InputError` where `load_classifier` would, and for weights that hold NaN or infinity."""
    wrong: dict[Path, list[str]] = {}
    for tensor in used_tensors(folder, labels, head):
        if tensor.dtype in FLOATS and tensor.key in _not_finite(tensor.file, *identity(tensor.file)):
            wrong.setdefault(tensor.file, []).append(tensor.key)
    for file, keys in wrong.items():
        raise InputError(
            f"The weights {file} hold NaN or infinite numbers: {keys[0]}"
            f"{f' and {len(keys) - 1} more tensors' if len(keys) > 1 else ''}. The model was saved after its training "
            "diverged, or the file is damaged: download it again, or give an earlier save."
        )


@lru_cache(maxsize=64)
def _not_finite(file: Path, *_: int) -> frozenset[str]:
    """Keys of the tensors of a file that are not finite."""
    found = set()
    for key, value in stream(file):
        if value.is_floating_point() and value.numel():
            # NaN passes through the extremes, and nothing as large as the tensor is made.
            lowest, highest = value.aminmax()
            if not (lowest.isfinite() and highest.isfinite()):
                found.add(key)
    return frozenset(found)
