"""Which of a classifier's weights are in memory: those below the cut go when they have run, and come when wanted.

`engine.frozen.layers` decides when; nothing else takes weights out of memory or brings them back.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from thriftune.models.classifier import Classifier
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


def whole(classifier: Classifier) -> Classifier:
    """The classifier itself, or, where weights below the cut have left memory, one that has them again."""
    if not absent(classifier.network):
        return classifier
    made = load_classifier(classifier.path, classifier.labels, classifier.head, classifier.name)
    trained = dict(classifier.trained())
    with torch.no_grad():
        for name, parameter in made.network.named_parameters():
            if name in trained:
                parameter.copy_(trained[name])
    return made
