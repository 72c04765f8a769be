"""What a model's folder holds: its config.json, the names of its weight files, and what makes it no model."""

from __future__ import annotations

import json
import os
from collections.abc import Container, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from thriftune.errors import InputError
from thriftune.models.pretrained.config_file import check_sizes
from thriftune.models.pretrained.json_file import read_object
from thriftune.models.pretrained.pooled_by import inside

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
BIN = "pytorch_model.bin"
BIN_INDEX = f"{BIN}.index.json"

ADAPTER = ("adapter_config.json", "adapter_model.*")
OTHER_WEIGHTS = ("*.safetensors", "*.bin", "*.h5", "*.msgpack", "*.onnx", "*.gguf", "*.pt", "*.pth", "*.ckpt")
"""Weight files that are not loaded; named where nothing else is there."""


def read_config(folder: Path) -> dict[str, Any]:
    """The content of config.json; raises `InputError` where it is no JSON object."""
    return read_object(folder / "config.json", "Give the config.json that save_pretrained wrote.")


def check_config(folder: Path, config: Mapping[str, Any], known: Container[str]) -> None:
    """Raises `InputError` for a configuration that asks for code, for quantised weights or for sizes that are none.

    `known` are the architectures that transformers has.
    """
    path, kind = folder / "config.json", config.get("model_type")
    if config.get("auto_map") and (not isinstance(kind, str) or kind not in known):
        raise InputError(
            f'{path} names code of its own for the architecture "{kind}" (auto_map). Code from a model\'s folder is '
            "never run. Use a model whose architecture transformers has, or a later transformers."
        )
    for key in ("attn_implementation", "_attn_implementation", "experts_implementation"):
        if any("/" in name for name in _strings(config.get(key))):
            raise InputError(
                f"{path} names a kernel to download ({key}: {config[key]}). Code that a model names is never run. "
                f"Remove {key}."
            )
    for key in ("quantization_config", "compression_config"):
        if config.get(key):
            method = config[key].get("quant_method", "") if isinstance(config[key], dict) else ""
            raise InputError(
                f"{path} describes a quantised model ({key}{f': {method}' if method else ''}). Training needs floating "
                "point weights: give the model that was not quantised."
            )
    check_sizes(path, config)


def _strings(value: object) -> list[str]:
    values = value.values() if isinstance(value, dict) else [value]
    return [name for name in values if isinstance(name, str)]


def check_folder(folder: Path, name: str | None = None) -> None:
    """Raises `InputError` for a folder that holds an adapter, has no config.json, or keeps its model below itself."""
    called = f'Model folder "{name or folder}"'
    adapter = next((path for name in ADAPTER for path in sorted(folder.glob(name))), None)
    if adapter is not None:
        raise InputError(
            f"{called} holds a PEFT adapter ({adapter.name}), which is not a model by itself. Name its base "
            f"model{_base_of(adapter)}, or merge them first: "
            "PeftModel.from_pretrained(base, adapter).merge_and_unload().save_pretrained(folder)."
        )
    below = _nested(folder)
    if not os.path.lexists(folder / "config.json"):  # a link to nothing has a message of its own
        if below is not None:
            raise InputError(
                f"{called} has the layout of old sentence-transformers (modules.json), with its encoder in "
                f"{below.name}/. Give {below} as the model."
            )
        raise InputError(f"{called} has no config.json. Give a folder that save_pretrained wrote.")
    if below is not None and not weight_files(folder):
        raise InputError(
            f"{called} has a config.json but no weights: they are in {below.name}/ (the layout of old "
            f"sentence-transformers). Give {below} as the model."
        )


def weight_source(folder: Path) -> Path | None:
    """The weight file, or the index of several, that transformers loads from a folder; no variants beside them.

    Raises `InputError` where config.json names one that is not in the folder.
    """
    if (folder / "config.json").is_file():
        named = read_config(folder).get("transformers_weights")
        if isinstance(named, str):
            return _inside(folder, named, folder / "config.json")
    return next((folder / name for name in (WEIGHTS, INDEX, BIN, BIN_INDEX) if (folder / name).is_file()), None)


def weight_files(folder: Path) -> list[Path]:
    """The weight files that are loaded from a model's folder, sorted; empty where there are none.

    Raises `InputError` for an index that cannot be read, names no file of the folder, or a file that is not there.
    """
    source = weight_source(folder)
    if source is None:
        return []
    if source.name.endswith(".index.json"):
        return sorted({folder / name for name in read_index(source).values()})
    return [source]


def require_weights(folder: Path) -> list[Path]:
    """The weight files; raises `InputError` where there are none, naming those that cannot be loaded."""
    files = weight_files(folder)
    if files:
        return files
    others = sorted(path.name for pattern in OTHER_WEIGHTS for path in folder.glob(pattern))
    held = f" It holds {', '.join(others[:3])}, which is not loaded." if others else ""
    raise InputError(f"{folder} has a config.json but no weights ({WEIGHTS}).{held} Add the weight file.")


def read_index(path: Path) -> dict[str, str]:
    """File names of an index by tensor.

    Raises `InputError` where it is no index, or a name leaves the folder or is not there.
    """
    remedy = "Download the model again."
    weight_map = read_object(path, remedy).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise InputError(f'{path} has no "weight_map" from tensors to files. {remedy}')
    for name in dict.fromkeys(weight_map.values()):
        _inside(path.parent, name, path)
    return dict(weight_map)


def identity(path: Path) -> tuple[int, ...]:
    """What changes when a file is written or replaced."""
    state = path.stat()
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns


def _inside(folder: Path, name: str, source: Path) -> Path:
    if not name or not inside(name):
        raise InputError(f'{source} names the weight file "{name}", which is not a file inside the folder.')
    if not (folder / name).is_file():
        raise InputError(f'{source} names the weight file "{name}", which is not there. Add it, or correct the index.')
    return folder / name


def _base_of(adapter: Path) -> str:
    try:
        base = json.loads(adapter.read_bytes()).get("base_model_name_or_path")
    except (OSError, ValueError, AttributeError):
        return ""
    return f" ({base})" if isinstance(base, str) and base else ""


def _nested(folder: Path) -> Path | None:
    """The subfolder with the encoder, in the layout of old sentence-transformers."""
    if not (folder / "modules.json").is_file():
        return None
    listed = [folder / name / "config.json" for name in _module_paths(folder / "modules.json")]
    found = [path for path in (*listed, *sorted(folder.glob("0_*/config.json"))) if path.is_file()]
    return found[0].parent if found else None


def _module_paths(modules: Path) -> list[str]:
    """Subfolders that modules.json names, the encoder's first; none where it cannot be read."""
    try:
        listed = json.loads(modules.read_bytes())
        paths = [each["path"] for each in listed]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return []
    return [path for path in paths[:1] if isinstance(path, str) and PurePosixPath(path).name and ".." not in path]
