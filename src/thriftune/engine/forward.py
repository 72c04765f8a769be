"""From text indices to logits: packed where the architecture has a packed forward, else the reference path."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from thriftune.engine.batches import packed_batch, padded_batch
from thriftune.engine.examples import Examples
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.models.classifier import Classifier
from thriftune.models.device import device_kind
from thriftune.models.ops import kernels
from thriftune.models.ops.rows import Rows
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


def row_dtype(classifier: Classifier, protocol: Protocol) -> torch.dtype | None:
    """bfloat16 where `precision: bf16` (or auto) runs by our own path: packed, on a CPU with the unit and the kernels.

    Rows between the layers are then of that dtype; weights and what is summed stay float32. None: as the weights are.
    """
    asked = protocol.precision in ("bf16", "auto")
    ours = asked and device_kind(classifier.device) == "cpu" and packs(classifier, protocol)
    return torch.bfloat16 if ours and kernels.has_narrow() and _float32(classifier) else None


def _float32(classifier: Classifier) -> bool:
    return next(classifier.root.parameters()).dtype == torch.float32


def autocast(classifier: Classifier, protocol: Protocol) -> torch.autocast:
    """The precision context of a forward pass for `precision: bf16` elsewhere: autocast.

    None on a CPU without the unit, where bfloat16 would be many times slower: what runs there is float32.
    """
    mixed = protocol.precision == "bf16" and row_dtype(classifier, protocol) is None
    if device_kind(classifier.device) == "cpu":
        mixed = mixed and kernels.multiplies_narrow()
    return torch.autocast(classifier.device.type, dtype=torch.bfloat16, enabled=mixed)


@dataclass(frozen=True)
class Packed:
    """A batch for the packed path, longest text first."""

    rows: Rows
    hidden: torch.Tensor | None
    """The prefix's rows (rows, hidden), where there is one."""
    back: torch.Tensor
    """(texts,) the place of each text in the order that was asked for."""


def batch_of(
    classifier: Classifier, examples: Examples, indices: np.ndarray, protocol: Protocol
) -> Packed | dict[str, torch.Tensor]:
    """What the forward reads for some of the examples, on the classifier's device: packed, or padded tensors."""
    if not packs(classifier, protocol):
        return padded_batch(examples.tokens, indices, classifier, protocol)
    order = np.argsort(-examples.tokens.lengths[indices], kind="stable")
    longest_first = indices[order]
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    rows = packed_batch(examples.tokens, longest_first, classifier.device)
    prefix = examples.prefix
    dtype = row_dtype(classifier, protocol) or torch.float32
    hidden = None if prefix is None else prefix.read(longest_first, classifier.device, dtype)
    return Packed(rows, hidden, torch.from_numpy(back).to(classifier.device))


def logits_of(classifier: Classifier, examples: Examples, indices: np.ndarray, protocol: Protocol) -> torch.Tensor:
    """Logits (texts, classes) of some of the examples, in the order of the indices."""
    batch = batch_of(classifier, examples, indices, protocol)
    if isinstance(batch, Packed):
        return logits_of_rows(classifier, examples, batch.rows, batch.hidden, protocol)[batch.back]
    with autocast(classifier, protocol):
        return classifier.logits(batch)


def logits_of_rows(
    classifier: Classifier, examples: Examples, rows: Rows, hidden: torch.Tensor | None, protocol: Protocol
) -> torch.Tensor:
    """Logits (texts, classes) of packed rows; `hidden` is their prefix where the examples have one."""
    bottom = 0 if examples.prefix is None else examples.prefix.layer
    recompute = protocol.recompute == "layers" and torch.is_grad_enabled()
    with autocast(classifier, protocol):
        return packed_logits(classifier, rows, bottom, hidden, recompute, row_dtype(classifier, protocol))
