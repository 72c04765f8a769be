"""A Linear on the first token as the head that an architecture has of its own, so that transformers alone loads it.

The own heads put a square matrix and an activation before their last Linear. Near 0 an activation is a line: the square
matrix becomes a tiny multiple of the identity, and the last Linear undoes that and the activation's slope, which costs
no digits in floating point. ReLU is a line above 0: there a constant lifts every coordinate, and the last bias takes it
out again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

TINY = 2.0**-14
"""tanh(x) is x up to a part of x^2 / 3."""
TINIER = 2.0**-26
"""gelu(x) is x / 2 up to a part of 0.8 x."""


def native(encoder: Any, weight: torch.Tensor, bias: torch.Tensor) -> Any | None:
    """A `...ForSequenceClassification` that gives the same logits; None where the architecture's head cannot.

    `weight` (labels, hidden) and `bias` (labels,) read the first token's last hidden state. The network shares the
    encoder's parameters.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    from thriftune.models.pretrained.quiet import quiet

    fill = HEADS.get(encoder.config.model_type)
    if fill is None:
        return None
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    config.pooler_hidden_act = "linear"  # DeBERTa's pooler lets it be chosen
    with quiet():
        network: Any = AutoModelForSequenceClassification.from_config(config)
    with torch.no_grad():
        network.base_model.load_state_dict(encoder.state_dict(), strict=False)
        fill(network, weight, bias)
    return network.eval().requires_grad_(False)


def _set(linear: Any, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
    linear.weight.copy_(weight)
    linear.bias.zero_() if bias is None else linear.bias.copy_(bias)


def _eye(linear: Any) -> torch.Tensor:
    import torch

    return torch.eye(linear.in_features)


def _pooled(network: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Pooler (dense, tanh), classifier: BERT; ALBERT calls the dense itself the pooler."""
    pooler = network.base_model.pooler
    dense = getattr(pooler, "dense", pooler)
    _set(dense, TINY * _eye(dense))
    _set(network.classifier, weight / TINY, bias)


def _two_layers(tiny: float, slope: float) -> Callable[[Any, torch.Tensor, torch.Tensor], None]:
    """Dense, activation, projection, all in `classifier`: RoBERTa and its kin, MPNet (tanh), ELECTRA (GELU)."""

    def fill(network: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
        head = network.classifier
        _set(head.dense, tiny * _eye(head.dense))
        _set(head.out_proj, weight / (tiny * slope), bias)

    return fill


def _chosen_activation(network: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Pooler (dense, an activation of the configuration), classifier: DeBERTa."""
    _set(network.pooler.dense, _eye(network.pooler.dense))
    _set(network.classifier, weight, bias)


def _lifted(network: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Dense, ReLU, classifier: DistilBERT. No coordinate of a norm's output is lower than minus the lift."""
    norm = network.base_model.transformer.layer[-1].output_layer_norm
    lift = norm.weight.abs() * len(norm.weight) ** 0.5 + norm.bias.abs()
    _set(network.pre_classifier, _eye(network.pre_classifier), lift)
    _set(network.classifier, weight, (bias.double() - weight.double() @ lift.double()).float())


HEADS: dict[str, Callable[[Any, torch.Tensor, torch.Tensor], None]] = {
    "bert": _pooled,
    "albert": _pooled,
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet"), _two_layers(TINY, 1.0)),
    "electra": _two_layers(TINIER, 0.5),
    **dict.fromkeys(("deberta", "deberta-v2"), _chosen_activation),
    "distilbert": _lifted,
}
"""By `config.model_type`."""
