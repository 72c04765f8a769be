"""On which side a model that pads its batches is to be padded: where padding changes nothing."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine.batches import padded
from thriftune.engine.forward import packs
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.load import longest_of

SIDES: tuple[Literal["right", "left"], ...] = ("right", "left")
TOLERANCE = 1e-4
"""Of logits, beside rounding."""
NOTE = "What the model says of a text depends on how far its batch is padded: other batches give other numbers."


def settle_side(classifier: Classifier, tokens: Tokens, protocol: Protocol) -> None:
    """Finds the side by a forward of the shortest text with and without padding; the tokenizer says the same then.

    Where neither side will do it stays the right one, and a note says so. Packed texts have no padding.
    """
    if packs(classifier, protocol) or not len(tokens):
        return
    if classifier.family.reads_padding:
        classifier.notes = (*classifier.notes, NOTE)
        return
    shortest = int(np.argmin(tokens.lengths))
    length = int(tokens.lengths[shortest])
    width = min(2 * length + 3, max(protocol.max_tokens, length), longest_of(classifier) or 2 * length + 3)
    if width <= length:
        return
    alone = _logits(classifier, tokens, shortest, length)
    for side in SIDES:
        classifier.padding_side = side
        if torch.allclose(_logits(classifier, tokens, shortest, width), alone, atol=TOLERANCE, rtol=TOLERANCE):
            break
    else:
        classifier.padding_side = "right"
        classifier.notes = (*classifier.notes, NOTE)
    tokenizer: Any = classifier.tokenizer
    if tokenizer is not None and tokenizer.padding_side != classifier.padding_side:
        tokenizer.padding_side = classifier.padding_side
        tokenizer.init_kwargs["padding_side"] = classifier.padding_side  # what is stored


def _logits(classifier: Classifier, tokens: Tokens, text: int, width: int) -> torch.Tensor:
    starts, lengths = np.asarray(tokens.offsets[text : text + 1]), np.asarray(tokens.lengths[text : text + 1])
    inputs = padded(tokens, starts, lengths.astype(np.int64), width, classifier)
    classifier.eval_mode()
    with torch.inference_mode():
        return classifier.logits(inputs).float().cpu()
