"""What an architecture's own head does after the vector that it reads, as steps that any library can follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Step = tuple[str, Any]
"""("linear", a Linear), ("norm", a LayerNorm), or ("act", an activation's expression in `hidden`)."""
ACTIVATIONS = {
    "tanh": "hidden.tanh()",
    "relu": "hidden.relu()",
    "gelu": "torch.nn.functional.gelu(hidden)",
    "linear": "hidden",
}


def steps(network: Any) -> list[Step] | None:
    """The steps of a classification network's head; None where they are not known."""
    kind = network.config.model_type
    read = STEPS.get(kind)
    found = None if read is None else read(network)
    return None if any(what == "act" and part not in ACTIVATIONS for what, part in found or []) else found


def _bert(network: Any) -> list[Step]:
    pooler = network.base_model.pooler
    return [("linear", getattr(pooler, "dense", pooler)), ("act", "tanh"), ("linear", network.classifier)]


def _two_layers(network: Any) -> list[Step]:
    act = "gelu" if network.config.model_type == "electra" else "tanh"
    return [("linear", network.classifier.dense), ("act", act), ("linear", network.classifier.out_proj)]


def _distilbert(network: Any) -> list[Step]:
    return [("linear", network.pre_classifier), ("act", "relu"), ("linear", network.classifier)]


def _deberta(network: Any) -> list[Step]:
    act = network.config.pooler_hidden_act
    return [("linear", network.pooler.dense), ("act", act), ("linear", network.classifier)]


def _modernbert(network: Any) -> list[Step]:
    head, act = network.head, network.config.classifier_activation
    return [("linear", head.dense), ("act", act), ("norm", head.norm), ("linear", network.classifier)]


STEPS: dict[str, Callable[[Any], list[Step]]] = {
    **dict.fromkeys(("bert", "albert"), _bert),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert", "mpnet", "electra"), _two_layers),
    "distilbert": _distilbert,
    **dict.fromkeys(("deberta", "deberta-v2"), _deberta),
    "modernbert": _modernbert,
}
"""By `config.model_type`."""


def tensors_and_code(found: list[Step]) -> tuple[dict[str, torch.Tensor], list[str]]:
    """What head.safetensors holds, and the lines that turn `hidden` (texts, hidden) into `logits`."""
    tensors: dict[str, torch.Tensor] = {}
    lines: list[str] = []
    count = 0
    for kind, part in found:
        if kind == "act":
            lines.append(f"hidden = {ACTIVATIONS[part]}")
            continue
        count += 1
        for name in ("weight", "bias"):
            value = getattr(part, name)
            if value is not None:
                tensors[f"{count}.{name}"] = value.detach().clone().contiguous()
        bias = f'head["{count}.bias"]' if part.bias is not None else "None"
        if kind == "norm":
            shape = f'head["{count}.weight"].shape'
            lines.append(
                f'hidden = torch.nn.functional.layer_norm(hidden, {shape}, head["{count}.weight"], {bias}, {part.eps})'
            )
        else:
            lines.append(f'hidden = torch.nn.functional.linear(hidden, head["{count}.weight"], {bias})')
    return tensors, lines
