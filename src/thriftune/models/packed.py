"""The encoder's forward over packed rows, from any layer up, on the Hugging Face modules' own parameters."""

from __future__ import annotations

import torch
from torch.utils.checkpoint import checkpoint

from thriftune.models.classifier import Classifier
from thriftune.models.ops.mean import mean_rows
from thriftune.models.ops.rows import Rows


def can_pack(classifier: Classifier) -> bool:
    """Whether the classifier's architecture and method have a packed forward."""
    return classifier.family.can_pack(classifier.config) and not classifier.input_tuner


def packed_logits(
    classifier: Classifier,
    rows: Rows,
    bottom: int = 0,
    hidden: torch.Tensor | None = None,
    recompute: bool = False,
) -> torch.Tensor:
    """Logits (texts, classes); the last layer runs for the first tokens alone where the head reads only them.

    `hidden` gives the output of the layers below `bottom`: (rows, hidden), or what the head reads, where
    `bottom` is the number of layers. With `recompute` a layer keeps its input alone and runs again for the
    gradients, with the same random numbers (Chen et al. 2016, arXiv:1604.06174).
    """
    family, count = classifier.family, len(classifier.layers)
    if hidden is None:
        hidden = family.embed(classifier.encoder, rows)
    context = family.context(classifier.encoder, rows) if bottom < count else None
    for index in range(bottom, count):
        first_only = index == count - 1 and family.reads(classifier) == "first"
        inputs = (classifier.encoder, index, hidden, rows, context, first_only)
        hidden = checkpoint(family.layer, *inputs, use_reentrant=False) if recompute else family.layer(*inputs)
    return family.read_head(classifier, hidden if bottom == count else _read(classifier, hidden, rows))


def _read(classifier: Classifier, hidden: torch.Tensor, rows: Rows) -> torch.Tensor:
    """What the head reads (texts, hidden), from the last layer's output for all rows or for the first tokens."""
    hidden = classifier.family.finish(classifier.encoder, hidden)
    return mean_rows(hidden, rows) if classifier.family.reads(classifier) == "mean" else hidden


def prefix_output(
    classifier: Classifier, rows: Rows, top: int, bottom: int = 0, hidden: torch.Tensor | None = None
) -> torch.Tensor:
    """Output of the layers from `bottom` to below `top`: (rows, hidden), or what the head reads of each text
    (texts, hidden) where only the head follows. Without `hidden`, the input of the layer `bottom`, it starts with the
    embeddings.
    """
    family, count = classifier.family, len(classifier.layers)
    if hidden is None:
        hidden = family.embed(classifier.encoder, rows)
    context = family.context(classifier.encoder, rows) if bottom < top else None
    for index in range(bottom, top):
        first_only = index == count - 1 and family.reads(classifier) == "first"
        hidden = family.layer(classifier.encoder, index, hidden, rows, context, first_only)
    return _read(classifier, hidden, rows) if top == count else hidden
