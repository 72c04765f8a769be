"""Writes a trained classifier in the ordinary Hugging Face / PEFT formats, and says how large that is."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.quiet import quiet
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.models.residence import whole
from thriftune.models.trained.stored_tokenizer import save_tokenizer
from thriftune.models.trained.usage import Reading, Usage, base_reference
from thriftune.models.weights import DTYPES


def save_classifier(classifier: Classifier, folder: Path, reading: Reading | None = None) -> int:
    """Writes `model/` and returns the bytes of its weight files.

    Own head: a folder that AutoModelForSequenceClassification loads, or a PEFT adapter with the whole head.
    Linear head: an AutoModel folder (or adapter) and head.safetensors. A README.md holds code that loads it and
    predicts, with texts read as `reading` says; thriftune.json says the same to programs.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if classifier.peft is None:
        classifier = whole(classifier)
    base = None
    with quiet():
        if classifier.peft is not None:
            base = base_reference(classifier.name, classifier.path, folder)
            with warnings.catch_warnings():  # AdaLoRA may leave a projection no rank at all
                warnings.filterwarnings("ignore", message=".*LoRA tensor")
                classifier.peft.save_pretrained(str(folder), save_embedding_layers=False)
            classifier.config.save_pretrained(folder)
            # PEFT writes sets as they come, in another order in every process.
            sets = {name: sorted(v) for name, v in vars(classifier.peft.active_peft_config).items() if type(v) is set}
            _set(folder / "adapter_config.json", base_model_name_or_path=base, **sets)
        elif classifier.head.bare:
            classifier.encoder.save_pretrained(folder)
        else:
            classifier.network.save_pretrained(folder)  # type: ignore[operator]
        if classifier.head.bare:
            _save_linear_head(classifier, folder)
        _save_reading(classifier, folder, reading or Reading(), base)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def save_frozen(
    classifier: Classifier,
    weight: np.ndarray,
    bias: np.ndarray,
    folder: Path,
    reading: Reading,
    *,
    normalize: bool,
    settings: dict[str, Any],
) -> int:
    """Writes `model/` and returns the bytes of its weight file.

    head.safetensors holds `weight` (classes, hidden) and `bias` (classes,), which read the vector that the classifier's
    head would (scaled to length 1 with `normalize`). Beside it lie the tokenizer, a config.json with the labels,
    settings.json, and thriftune.json and README.md, which say where the encoder is and how texts are read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "head.safetensors"
    save_file({name: torch.from_numpy(value) for name, value in (("weight", weight), ("bias", bias))}, path)
    with quiet():
        classifier.config.save_pretrained(folder)
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    base = base_reference(classifier.name, classifier.path, folder)
    _save_reading(classifier, folder, reading, base, frozen=True, normalize=normalize)
    return path.stat().st_size


def _save_reading(classifier: Classifier, folder: Path, reading: Reading, base: str | None, **regression: Any) -> None:
    """Writes the tokenizer, thriftune.json and README.md (over PEFT's model card, which is all placeholders)."""
    tokenizer = classifier.tokenizer
    if tokenizer is None:
        raise ValueError("a classifier without a tokenizer cannot be saved")
    types = token_types(classifier.config, tokenizer)
    save_tokenizer(tokenizer, folder, token_types=types, padding_side=classifier.padding_side)
    usage = Usage.of(tokenizer, reading, classifier.head.type, base)
    replace(usage, alone=classifier.reads_padding, **regression).write(folder)


def _save_linear_head(classifier: Classifier, folder: Path) -> None:
    linear = classifier.network.get_submodule("classifier")
    state = {name: value.detach().cpu().contiguous() for name, value in linear.state_dict().items()}
    save_file(state, folder / "head.safetensors")
    (folder / "labels.json").write_text(json.dumps(list(classifier.labels)), encoding="utf-8")


def _set(path: Path, **values: Any) -> None:
    """Changes values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values, indent=2), encoding="utf-8")


def delta_bytes(classifier: Classifier) -> int:
    """Bytes of the trained tensors alone."""
    return sum(p.numel() * p.element_size() for _, p in classifier.trained())


def stored_bytes(classifier: Classifier) -> int:
    """Bytes of the weight files that `save_classifier` writes for a classifier, be it a skeleton."""
    bare = classifier.head.bare
    state: Mapping[str, torch.Tensor] = (classifier.encoder if bare else classifier.network).state_dict()
    if classifier.peft is not None:
        from peft import get_peft_model_state_dict

        state = get_peft_model_state_dict(classifier.peft, save_embedding_layers=False)
    own = classifier.network.get_submodule("classifier").state_dict() if bare else None
    return _file_bytes(state, marked=True) + (0 if own is None else _file_bytes(own, marked=False))


def _file_bytes(state: Mapping[str, torch.Tensor], marked: bool) -> int:
    """Bytes of a safetensors file: header length, header (JSON, padded to 8 bytes), data by falling item size.

    `marked`: whether the header says that PyTorch wrote it, as transformers and PEFT have it.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}} if marked else {}
    end = 0
    for name in sorted(state, key=lambda name: (-state[name].element_size(), name)):
        tensor = state[name]
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return 8 + -(-len(text) // 8) * 8 + end
