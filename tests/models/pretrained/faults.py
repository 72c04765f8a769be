"""Copies of tiny models with one thing wrong or different."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tests.tiny_models import model_folder

from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.save import save_classifier

Tensors = dict[str, torch.Tensor]


def copied(folder: Path, kind: str, change: Callable[[Tensors], Tensors | None] | None = None, **config: Any) -> Path:
    """A tiny model's folder with other tensors and other values in config.json."""
    shutil.copytree(model_folder(kind), folder)
    rewrite(folder, change, **config)
    return folder


def rewrite(folder: Path, change: Callable[[Tensors], Tensors | None] | None = None, **config: Any) -> None:
    """Changes a folder's tensors and its config.json in place."""
    if change is not None:
        tensors = load_file(folder / "model.safetensors")
        tensors = change(tensors) or tensors
        (folder / "model.safetensors").unlink()
        save_file({name: value.contiguous() for name, value in tensors.items()}, folder / "model.safetensors")
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))


def classifier_folder(folder: Path, kind: str, labels: tuple[str, ...]) -> Path:
    """A saved classifier with a head that has been moved away from where it began."""
    classifier = load_classifier(model_folder(kind), labels)
    with torch.no_grad():
        for index, (_, parameter) in enumerate(classifier.trained()):
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(index)), alpha=0.5)
    save_classifier(classifier, folder)
    return folder


def permuted(folder: Path, order: list[int]) -> None:
    """The same classifier with its labels, and the rows of its output layer, in another order."""
    names = list(json.loads((folder / "config.json").read_text())["id2label"].values())
    labels = [names[row] for row in order]

    def rows(tensors: Tensors) -> Tensors:
        last = "classifier.out_proj." if "classifier.out_proj.weight" in tensors else "classifier."
        return {name: value[order] if name.startswith(last) else value for name, value in tensors.items()}

    rewrite(folder, rows, id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)})
