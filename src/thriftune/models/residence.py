"""Which of a classifier's weights are in memory: those below the cut go when they have run, and come when wanted.

`engine.frozen.layers` decides when; nothing else takes weights out of memory or brings them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from thriftune.models.classifier import Classifier
from thriftune.models.ops.linear import plain
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.weights import absent, parameter_names


def release(classifier: Classifier) -> None:
    """Frees the weights that only the layers below the cut need; they become shapes without data."""
    for module in classifier.family.below(classifier.encoder, classifier.cut) if classifier.cut else []:
        module.to("meta")


def read_back(classifier: Classifier) -> None:
    """Reads the weights that were left out when the classifier was loaded."""
    if classifier.stored is not None:
        missing = [name for name, parameter in classifier.network.named_parameters() if parameter.is_meta]
        classifier.stored.read(classifier.network, missing, classifier.device)


@contextmanager
def in_memory(classifier: Classifier, modules: list[nn.Module]) -> Iterator[None]:
    """Reads the weights of modules that have none, and lets them go again."""
    missing = [module for module in modules if absent(module)]
    try:
        if missing:
            assert classifier.stored is not None
            names = parameter_names(classifier.network, missing)
            classifier.stored.read(classifier.network, names, classifier.device)
        yield
    finally:
        for module in missing:
            module.to("meta")


def round_frozen(classifier: Classifier) -> None:
    """Keeps the frozen matrices above the cut as bfloat16, in half the memory, where they meet rows of bfloat16 alone.

    A product rounds its weight anyway, so no number changes. Tables of relative positions and tuners other than LoRA
    compute in float32.
    """
    whole_ones = set(classifier.family.position_projections)
    for layer in list(classifier.layers)[classifier.cut or 0 :]:
        tuned = {id(part.base_layer) for part in layer.modules() if hasattr(part, "base_layer") and not plain(part)}
        for path, part in layer.named_modules():
            frozen = type(part) is nn.Linear and id(part) not in tuned and not part.weight.requires_grad
            if frozen and whole_ones.isdisjoint(path.split(".")):
                part.weight.data = part.weight.data.to(torch.bfloat16)


def whole(classifier: Classifier) -> Classifier:
    """The classifier itself, or, where weights have left memory or were rounded, one that has them again."""
    rounded = any(p.dtype == torch.bfloat16 for p in classifier.network.parameters())
    if not absent(classifier.network) and not rounded:
        return classifier
    made = load_classifier(classifier.path, classifier.labels, classifier.head, classifier.name)
    trained = dict(classifier.trained())
    with torch.no_grad():
        for name, parameter in made.network.named_parameters():
            if name in trained:
                parameter.copy_(trained[name])
    return made
