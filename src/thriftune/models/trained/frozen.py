"""Stores a regression on a frozen encoder's vectors; the encoder itself stays where it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.quiet import quiet
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.models.trained.stored_tokenizer import save_tokenizer
from thriftune.models.trained.usage import Reading, Usage, base_reference


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
    tokenizer = classifier.tokenizer
    if tokenizer is None:
        raise ValueError("a classifier without a tokenizer cannot be saved")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "head.safetensors"
    save_file({name: torch.from_numpy(value) for name, value in (("weight", weight), ("bias", bias))}, path)
    with quiet():
        classifier.config.save_pretrained(folder)
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
    types = token_types(classifier.config, tokenizer)
    save_tokenizer(tokenizer, folder, token_types=types, padding_side=classifier.padding_side)
    base = base_reference(classifier.name, classifier.path, folder)
    usage = Usage.of(tokenizer, reading, classifier.head.type, base)
    replace(usage, alone=classifier.reads_padding, frozen=True, normalize=normalize).write(folder)
    return path.stat().st_size
