"""The trained tensors on disk: the best epoch's weights cost no memory while training goes on."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from thriftune.engine.resume.tensors import write_tensors
from thriftune.models.classifier import Classifier


def save_trained(classifier: Classifier, path: Path) -> None:
    """Writes the trained parameters, by name, as safetensors; links to the file that was there keep its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}")
    write_tensors(unfinished, dict(classifier.trained()))
    unfinished.replace(path)


def load_trained(classifier: Classifier, path: Path) -> None:
    """Copies a checkpoint into the trained parameters; raises `KeyError` where one is missing."""
    state = load_file(path)
    with torch.no_grad():
        for name, parameter in classifier.trained():
            parameter.copy_(state[name])
