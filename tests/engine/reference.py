"""A plain transformers + PEFT training loop, written without the engine: what the engine must agree with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from peft import LoraConfig, TaskType, get_peft_model
from torch import nn

from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.models.classifier import Classifier

RATE = 1e-3
LORA_TARGETS = {
    "distilbert": ["q_lin", "v_lin"],
    "deberta-v2": ["query_proj", "value_proj"],
    "modernbert": ["Wqkv"],
    "mpnet": ["q", "v"],
}


def without_dropout(network: nn.Module) -> None:
    """Sets every dropout rate in a network to zero."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        for name in ("attention_dropout", "dropout_prob"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)


def freeze(network: Any, method: str) -> Any:
    """The usual recipes: everything, the top layer and the head, or LoRA (A frozen: FA) on query and value."""
    base = network.base_model
    layers = base.transformer.layer if hasattr(base, "transformer") else getattr(base, "encoder", base)
    layers = getattr(layers, "layer", None) or getattr(layers, "layers", layers)
    pooler = ["pooler"] if getattr(base, "pooler", None) is not None else []
    head = [name for name, part in network.named_children() if part is not base and list(part.parameters())] + pooler
    if method in ("lora", "lora_fa"):
        targets = LORA_TARGETS.get(network.config.model_type, ["query", "value"])
        config = LoraConfig(
            task_type=TaskType.SEQ_CLS, r=8, lora_alpha=16, target_modules=targets, modules_to_save=head
        )
        wrapped = get_peft_model(network, config)
        for name, parameter in wrapped.named_parameters():
            if method == "lora_fa" and "lora_A" in name:
                parameter.requires_grad_(False)
        return wrapped
    if method == "top_layers":
        network.requires_grad_(False)
        layers[-1].requires_grad_(True)
        for name in head:
            (getattr(network, name, None) or base.pooler).requires_grad_(True)
    return network


def train(network: nn.Module, examples: Examples, pad: int, batch_size: int, steps: int, seed: int) -> list[float]:
    """Losses of plain AdamW steps: dynamic padding, no decay on vectors, clipping at norm 1."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=RATE,
        fused=False,
        foreach=False,
    )
    losses: list[float] = []
    epoch = 0
    while len(losses) < steps:
        for batch in training_batches(len(examples), batch_size, seed, epoch)[: steps - len(losses)]:
            inputs = collate(examples, batch, pad)
            loss = network(**inputs, labels=torch.tensor(examples.labels[batch])).loss
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            losses.append(loss.item())
        epoch += 1
    return losses


def collate(examples: Examples, batch: np.ndarray, pad: int) -> dict[str, torch.Tensor]:
    """Pads each text by hand."""
    tokens = examples.tokens
    spans = [slice(tokens.offsets[i], tokens.offsets[i + 1]) for i in batch]
    width = max(span.stop - span.start for span in spans)
    rows = [list(tokens.ids[span]) for span in spans]
    out = {
        "input_ids": torch.tensor([row + [pad] * (width - len(row)) for row in rows]),
        "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
    }
    if tokens.types is not None:
        types = [list(tokens.types[span]) for span in spans]
        out["token_type_ids"] = torch.tensor([row + [0] * (width - len(row)) for row in types]).long()
    return out


def copy_weights(classifier: Classifier, network: nn.Module) -> None:
    """Gives a plain network (PEFT-wrapped or not) the classifier's present weights."""
    source = dict((classifier.peft or classifier.network).named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(source[name])
