"""The trained tensors on disk: the best epoch's weights cost no memory while training goes on."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from thriftune.models.classifier import Classifier


def save_trained(classifier: Classifier, path: Path) -> None:
    """Writes the trained parameters, by name, as safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: p.detach().cpu().contiguous() for name, p in classifier.trained()}, path)


def load_trained(classifier: Classifier, path: Path) -> None:
    """Copies a checkpoint into the trained parameters; raises `KeyError` where one is missing."""
    state = load_file(path)
    with torch.no_grad():
        for name, parameter in classifier.trained():
            parameter.copy_(state[name])
