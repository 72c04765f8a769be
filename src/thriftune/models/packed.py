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
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Logits (texts, classes); the last layer runs for the first tokens alone where the head reads only them.

    `hidden` gives the output of the layers below `bottom`: (rows, hidden), or what the head reads, where
    `bottom` is the number of layers. With `recompute` a layer keeps its input alone and runs again for the
    gradients, with the same random numbers (Chen et al. 2016, arXiv:1604.06174).
    """
    count = len(classifier.layers)
    if hidden is None or bottom < count:
        hidden = prefix_output(classifier, rows, count, bottom, hidden, recompute, dtype)
    return classifier.family.read_head(classifier.network, classifier.head, hidden)


def prefix_output(
    classifier: Classifier,
    rows: Rows,
    top: int,
    bottom: int = 0,
    hidden: torch.Tensor | None = None,
    recompute: bool = False,
    dtype: torch.dtype | None = None,
) -> torch.Tensor:
    """Output of the layers from `bottom` to below `top`: (rows, hidden), or what the head reads of each text
    (texts, hidden) where only the head follows. Without `hidden`, the input of the layer `bottom`, it starts with the
    embeddings. Rows between the layers are of `dtype` (None: as the weights are); what the head reads is not.
    """
    family, count, first = classifier.family, len(classifier.layers), classifier.reads == "first"
    if hidden is None:
        hidden = family.embed(classifier.encoder, rows)
    if dtype is not None:
        hidden = hidden.to(dtype)
    context = family.context(classifier.encoder, rows) if bottom < top else None
    for index in range(bottom, top):
        inputs = (classifier.encoder, index, hidden, rows, context, first and index == count - 1)
        hidden = checkpoint(family.layer, *inputs, use_reentrant=False) if recompute else family.layer(*inputs)
    if top < count:
        return hidden
    hidden = family.finish(classifier.encoder, hidden if dtype is None else hidden.float())
    return hidden if first else mean_rows(hidden, rows)
