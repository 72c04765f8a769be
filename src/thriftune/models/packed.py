"""The encoder's forward over packed rows, from any layer up, on the Hugging Face modules' own parameters."""

from __future__ import annotations

import torch

from thriftune.models.classifier import Classifier
from thriftune.models.rows import Rows


def can_pack(classifier: Classifier) -> bool:
    """Whether the classifier's architecture and method have a packed forward."""
    return classifier.family.packs and not classifier.input_tuner


def packed_logits(
    classifier: Classifier, rows: Rows, bottom: int = 0, hidden: torch.Tensor | None = None
) -> torch.Tensor:
    """Logits (texts, classes); the last layer runs for the first tokens alone where the head reads only them.

    `hidden` gives the output of the layers below `bottom`: (rows, hidden), or what the head reads, where
    `bottom` is the number of layers.
    """
    family, count = classifier.family, len(classifier.layers)
    if hidden is None:
        hidden = family.embed(classifier.encoder, rows)
    context = family.context(classifier.encoder, rows) if bottom < count else None
    for index in range(bottom, count):
        first_only = index == count - 1 and family.reads_first_token(classifier)
        hidden = family.layer(classifier.encoder, index, hidden, rows, context, first_only)
    return family.read_head(classifier, hidden, rows)


def prefix_output(classifier: Classifier, rows: Rows, top: int) -> torch.Tensor:
    """Output of the `top` lowest layers: (rows, hidden), or of the first tokens where only the head follows."""
    family, count = classifier.family, len(classifier.layers)
    hidden = family.embed(classifier.encoder, rows)
    context = family.context(classifier.encoder, rows)
    for index in range(top):
        first_only = index == count - 1 and family.reads_first_token(classifier)
        hidden = family.layer(classifier.encoder, index, hidden, rows, context, first_only)
    return hidden
