"""Stored classifiers of every kind on one tiny base, with weights that say something without any training."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tests.tiny_models import model_folder

from thriftune.methods.bitfit import BitFit
from thriftune.methods.full import Full
from thriftune.methods.head_only import HeadOnly
from thriftune.methods.lora import Lora
from thriftune.methods.peft import Peft
from thriftune.methods.top_layers import TopLayers
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.save import save_classifier, save_frozen
from thriftune.models.trained.usage import Reading

Head = Literal["own", "linear", "mean"]
METHODS: dict[str, Any] = {
    "first": Lora(rank=4),
    "second": Lora(rank=2, alpha=8),
    "top": Lora(rank=4, layers="top 1"),
    "head": HeadOnly(learning_rate=0.01),
    "layers": TopLayers(layers=1),
    "more layers": TopLayers(layers=2),
    "biases": BitFit(),
    "all": Full(learning_rate=0.01),
    "other tuner": Peft(type="LOHA", config={"r": 2}),
    "frozen": None,
}
"""By the name that it is given; None: a regression on the frozen encoder."""


def store(
    folder: Path, kind: str, method: Any, head: Head, *, classes: int = 3, columns: int = 1, seed: int = 0
) -> Path:
    """The model's folder of a method on a tiny model, its trained weights moved at random."""
    rng = torch.Generator().manual_seed(seed)
    labels = tuple(f"label {index}" for index in range(classes))
    made = load_classifier(model_folder(kind), labels, HeadSettings(type="mean" if method is None else head), seed=seed)
    reading = Reading(("premise", "hypothesis")[:columns], 24)
    if method is None:
        weight = torch.randn(classes, made.config.hidden_size, generator=rng)
        bias = np.zeros(classes, np.float32)
        save_frozen(made, weight.numpy(), bias, folder, reading, normalize=True, settings={})
        return folder
    method.apply(made, rng)
    with torch.no_grad():
        for _, parameter in made.trained():
            spread = 0.3 if parameter.ndim > 1 else 0.1
            parameter.add_(spread * torch.randn(parameter.shape, generator=rng))
    save_classifier(made, folder, reading)
    return folder
