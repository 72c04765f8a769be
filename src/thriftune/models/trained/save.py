"""Writes a trained classifier in the ordinary Hugging Face / PEFT formats."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

from safetensors.torch import save_file

from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.quiet import quiet
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.models.residence import whole
from thriftune.models.trained.stored_tokenizer import save_tokenizer
from thriftune.models.trained.usage import Reading, Usage, base_reference


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
            _set(folder / "adapter_config.json", base_model_name_or_path=base)
        elif classifier.head.bare:
            classifier.encoder.save_pretrained(folder)
        else:
            classifier.network.save_pretrained(folder)  # type: ignore[operator]
        if classifier.head.bare:
            _save_linear_head(classifier, folder)
        _save_reading(classifier, folder, reading or Reading(), base)
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def _save_reading(classifier: Classifier, folder: Path, reading: Reading, base: str | None) -> None:
    """Writes the tokenizer, thriftune.json and README.md (over PEFT's model card, which is all placeholders)."""
    tokenizer = classifier.tokenizer
    if tokenizer is None:
        raise ValueError("a classifier without a tokenizer cannot be saved")
    types = token_types(classifier.config, tokenizer)
    save_tokenizer(tokenizer, folder, token_types=types, padding_side=classifier.padding_side)
    usage = Usage.of(tokenizer, reading, classifier.head.type, base)
    replace(usage, alone=classifier.reads_padding).write(folder)


def _save_linear_head(classifier: Classifier, folder: Path) -> None:
    linear = classifier.network.get_submodule("classifier")
    state = {name: value.detach().cpu().contiguous() for name, value in linear.state_dict().items()}
    save_file(state, folder / "head.safetensors")
    (folder / "labels.json").write_text(json.dumps(list(classifier.labels)), encoding="utf-8")


def _set(path: Path, **values: str) -> None:
    """Changes values of a JSON file."""
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values, indent=2), encoding="utf-8")


def delta_bytes(classifier: Classifier) -> int:
    """Bytes of the trained tensors alone."""
    return sum(p.numel() * p.element_size() for _, p in classifier.trained())
