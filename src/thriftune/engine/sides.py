"""On which side a model that pads its batches is to be padded: where padding changes nothing."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch

from thriftune.data.tokens import Tokens
from thriftune.engine.batches import padded
from thriftune.engine.forward import packs
from thriftune.engine.gpu.precision import float32_products
from thriftune.engine.protocol import Protocol
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.tokenizer import longest_of

SIDES: tuple[Literal["right", "left"], ...] = ("right", "left")
TOLERANCE = 1e-4
"""Of logits, beside rounding."""
NOTE = (
    "What the model says of a text depends on how far it is padded. Training pads as the protocol says; predictions "
    "pad nothing, and neither may what uses model/ (its README.md does it)."
)


def settle_side(classifier: Classifier, tokens: Tokens, protocol: Protocol) -> None:
    """Finds the side by a forward of the shortest text with and without padding; the tokenizer says the same then.

    Where neither side will do it stays the right one, the classifier predicts without padding, and a note says so.
    Packed texts have no padding.
    """
    if packs(classifier, protocol) or not len(tokens):
        return
    side = None if classifier.family.reads_padding else _side(classifier, tokens, protocol)
    classifier.padding_side = side or "right"
    if side is None:
        classifier.reads_padding = True
        classifier.notes = (*classifier.notes, NOTE)
    tokenizer: Any = classifier.tokenizer
    if tokenizer is not None and tokenizer.padding_side != classifier.padding_side:
        tokenizer.padding_side = classifier.padding_side
        tokenizer.init_kwargs["padding_side"] = classifier.padding_side  # what is stored


def _side(classifier: Classifier, tokens: Tokens, protocol: Protocol) -> Literal["right", "left"] | None:
    """The side on which padding changes no logit; None where it changes some on both."""
    shortest = int(np.argmin(tokens.lengths))
    length, end = int(tokens.lengths[shortest]), int(tokens.offsets[shortest + 1])
    longest = min(max(protocol.max_tokens, length), longest_of(classifier) or length + protocol.max_tokens)
    if length >= longest:  # every text is as long as one may be: the end of one is padded
        length = max(1, length // 2)
    width = min(2 * length + 3, longest)
    with float32_products():
        alone = _logits(classifier, tokens, end - length, length, length)
        for side in SIDES:
            classifier.padding_side = side
            found = _logits(classifier, tokens, end - length, length, width)
            if torch.allclose(found, alone, atol=TOLERANCE, rtol=TOLERANCE):
                return side
    return None


def _logits(classifier: Classifier, tokens: Tokens, start: int, length: int, width: int) -> torch.Tensor:
    inputs = padded(tokens, np.array([start]), np.array([length]), width, classifier)
    classifier.eval_mode()
    with torch.inference_mode():
        return classifier.logits(inputs).float().cpu()
