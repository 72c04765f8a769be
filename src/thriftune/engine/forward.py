"""From text indices to logits: packed where the architecture has a packed forward, else the reference path."""

from __future__ import annotations

import numpy as np
import torch

from thriftune.engine.batches import Examples, packed_batch, padded_batch
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.models.classifier import Classifier
from thriftune.models.packed import can_pack, packed_logits


def packs(classifier: Classifier, protocol: Protocol) -> bool:
    """Whether a run takes the packed path."""
    return protocol.padding == "none" and can_pack(classifier)


def switch_recomputation(classifier: Classifier, protocol: Protocol) -> None:
    """Has transformers recompute layers where a run asks for it and takes the reference path.

    Raises `InputError` for an architecture that cannot.
    """
    if protocol.recompute == "none" or packs(classifier, protocol):
        return
    if not classifier.encoder.supports_gradient_checkpointing:
        raise InputError(
            f'protocol.recompute is layers, but transformers cannot recompute the layers of "'
            f'{classifier.config.model_type}" models. Use recompute: none.'
        )
    classifier.encoder.gradient_checkpointing_enable({"use_reentrant": False})


def autocast(classifier: Classifier, protocol: Protocol) -> torch.autocast:
    """The precision context of a forward pass: bf16 autocast, or none."""
    return torch.autocast(classifier.device.type, dtype=torch.bfloat16, enabled=protocol.precision == "bf16")


def logits_of(classifier: Classifier, examples: Examples, indices: np.ndarray, protocol: Protocol) -> torch.Tensor:
    """Logits (texts, classes) of some of the examples, in the order of the indices."""
    with autocast(classifier, protocol):
        if not packs(classifier, protocol):
            return classifier.logits(padded_batch(examples.tokens, indices, classifier, protocol))
        lengths = examples.tokens.lengths[indices]
        order = np.argsort(-lengths, kind="stable")
        longest_first = indices[order]
        rows = packed_batch(examples.tokens, longest_first, classifier.device)
        prefix = examples.prefix
        bottom = 0 if prefix is None else prefix.layer
        hidden = None if prefix is None else prefix.read(longest_first, classifier.device)
        recompute = protocol.recompute == "layers" and torch.is_grad_enabled()
        logits = packed_logits(classifier, rows, bottom, hidden, recompute)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return logits[torch.from_numpy(back).to(logits.device)]
