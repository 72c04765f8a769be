"""What the last Linear of a head reads of each text, and which module that is."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from thriftune.engine.examples import Examples
from thriftune.engine.predict import logit_batches, token_read
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.models.classifier import Classifier


def last_linear(classifier: Classifier) -> nn.Linear:
    """The trained Linear of the head that gives the logits; raises `InputError` where there is none."""
    found = [
        part
        for module in classifier.head_modules
        for part in module.modules()
        if isinstance(part, nn.Linear) and part.out_features == len(classifier.labels) and part.weight.requires_grad
    ]
    if not found:
        raise _no_linear(classifier)
    return found[-1]


def is_all(classifier: Classifier, linear: nn.Linear) -> bool:
    """Whether nothing is trained but that Linear."""
    return {id(p) for _, p in classifier.trained()} <= {id(p) for p in linear.parameters()}


def features_of(classifier: Classifier, linear: nn.Linear, examples: Examples, protocol: Protocol) -> torch.Tensor:
    """What a head's last Linear reads of each text, (texts, width), float32, on the classifier's device.

    Dropout is off. Raises `InputError` where the Linear's output is not the logits.
    """
    out = torch.empty(len(examples), linear.in_features, device=classifier.device)
    lengths = np.asarray(examples.tokens.lengths)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        seen.append((inputs[0].detach(), output.detach()))

    hook = linear.register_forward_hook(keep)
    try:
        for indices, logits in logit_batches(classifier, examples, protocol):
            if len(seen) != 1:
                raise _no_linear(classifier)
            read, given = seen.pop()
            if read.ndim == 3:
                at = torch.arange(len(indices)), token_read(classifier, lengths[indices])
                read, given = read[at], given[at]
            if given.shape != logits.shape or not np.array_equal(given.float().cpu().numpy(), logits, equal_nan=True):
                raise _no_linear(classifier)
            out[torch.from_numpy(indices).to(out.device)] = read.float()
    finally:
        hook.remove()
    return out


def _no_linear(classifier: Classifier) -> InputError:
    return InputError(
        f"head_start solved needs a head whose trained last Linear gives the logits, which that of {classifier.name} "
        f'("{classifier.config.model_type}") has not. Use head_start random, or head.type linear or mean.'
    )
