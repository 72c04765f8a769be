"""The tensors of a model's weight files, from the files' headers where they have one."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from thriftune.errors import InputError, first_line
from thriftune.models.pretrained.folder import check_folder, read_index, require_weights, weight_source
from thriftune.models.pretrained.json_file import refuse_pointer
from thriftune.models.weights import DTYPES, StoredTensor


@dataclass(frozen=True)
class Checkpoint:
    """A model's weight files and the tensors in them, by key."""

    folder: Path
    files: tuple[Path, ...]
    tensors: dict[str, StoredTensor]

    @property
    def has_headers(self) -> bool:
        """Whether single tensors can be read (safetensors) rather than whole files."""
        return all(file.suffix == ".safetensors" for file in self.files)

    @contextmanager
    def opened(self, keys: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Tensors by key, read where they are indexed with `[...]`."""
        wanted = set(keys)
        with ExitStack() as stack:
            found: dict[str, Any] = {}
            for file in self.files:
                if file.suffix == ".safetensors":
                    stored = stack.enter_context(safe_open(file, framework="pt"))
                    found |= {key: stored.get_slice(key) for key in stored.keys() if key in wanted}  # noqa: SIM118
                else:
                    found |= {key: value for key, value in _load_bin(file).items() if key in wanted}
            yield found


def read_checkpoint(folder: Path) -> Checkpoint:
    """The tensors that a model's folder holds.

    Raises `InputError` for a folder that is no model, and for weight files that are not there, cut short, not to be
    opened without running their code, or no weight files at all.
    """
    check_folder(folder)
    files = require_weights(folder)
    tensors: dict[str, StoredTensor] = {}
    for file in files:
        refuse_pointer(file)
        tensors |= _safetensors(file) if file.suffix == ".safetensors" else _bin(file)
    source = weight_source(folder)
    if source is not None and source not in files:
        _check_index(source, tensors)
    return Checkpoint(folder, tuple(files), tensors)


def stream(file: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a weight file, one after the other."""
    if file.suffix != ".safetensors":
        yield from _load_bin(file).items()
        return
    with safe_open(file, framework="pt") as stored:
        for key in stored.keys():  # noqa: SIM118 - safe_open is no mapping
            yield key, stored.get_tensor(key)


def _check_index(path: Path, tensors: dict[str, StoredTensor]) -> None:
    lost = [(key, name) for key, name in read_index(path).items() if key not in tensors]
    if lost:
        key, name = lost[0]
        more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
        raise InputError(
            f"{path} says that {key} is in {name}, which does not hold it{more}. Download the model again."
        )


def _safetensors(file: Path) -> dict[str, StoredTensor]:
    found = {}
    try:
        with safe_open(file, framework="pt") as stored:
            for key in stored.keys():  # noqa: SIM118 - safe_open is no mapping
                part = stored.get_slice(key)
                found[key] = StoredTensor(file, key, str(part.get_dtype()), tuple(part.get_shape()))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"The weights {file} cannot be loaded ({first_line(error)}): they are cut short or no safetensors file. "
            "Copy or download the file again."
        ) from error
    return found


def _bin(file: Path) -> dict[str, StoredTensor]:
    return {
        key: StoredTensor(file, key, DTYPES.get(value.dtype, str(value.dtype)), tuple(value.shape))
        for key, value in _load_bin(file).items()
    }


def _load_bin(file: Path) -> dict[str, torch.Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        raise InputError(
            f"The weights {file} cannot be loaded without running code from them, which is never done "
            f"({first_line(error)}). Save the model as safetensors (save_pretrained) where you trust it."
        ) from error
    # The old format is read by what its first bytes say, whatever they are.
    except Exception as error:
        raise InputError(
            f"The weights {file} cannot be loaded ({first_line(error)}): they are cut short or not what torch.save "
            "wrote. Copy or download the file again."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        kept = f" (keys {', '.join(map(str, list(found)[:3]))})" if isinstance(found, dict) else ""
        raise InputError(
            f"The weights {file} hold {type(found).__name__}{kept}, a mapping from names to tensors is needed. "
            "Save the model's state dict alone, best with save_pretrained."
        )
    return {str(key): value for key, value in found.items()}
