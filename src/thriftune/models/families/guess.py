"""What can be told of an architecture without a file: layers only where no other reading is possible."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from torch import nn
from transformers import PretrainedConfig, PreTrainedModel

from thriftune.models.families.base import Family

ATTENTION = re.compile(r"attn|attention", re.IGNORECASE)
BESIDE = re.compile(r"emb|pooler|relative|rotary|contact_head", re.IGNORECASE)
"""Path parts of matrices that belong to no layer: embeddings, what projects them, and relative positions."""
POSITION_TABLES = ("position_embeddings", "position_embedding", "embed_positions", "wpe", "pos_embed", "pos_emb")


class GuessedFamily(Family):
    """An architecture without a file: trains through its own forward."""

    def max_tokens(self, config: PretrainedConfig) -> int | None:
        """What the configuration says; `position_limit` reads the tables themselves."""
        return _positive(getattr(config, "max_position_embeddings", None))


def guess_family(network: PreTrainedModel) -> Family:
    """A family for an architecture without a file: its layers where they are beyond doubt, PEFT's own LoRA targets."""
    from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as TARGETS

    encoder = network.base_model
    path, why_not = find_layers(encoder)
    children = [name for name, part in network.named_children() if part is not encoder]
    head = [name for name in children if any(True for _ in network.get_submodule(name).parameters())]
    pooler = ["{}.pooler"] if encoder is not network and reads_pooler(network) else []
    return GuessedFamily(
        model_types=(network.config.model_type,),
        layers=path,
        why_no_layers=why_not,
        head=(*pooler, *head),
        lora_targets=tuple(TARGETS.get(network.config.model_type, ())),
        token_types=hasattr(network.config, "type_vocab_size"),
    )


def reads_pooler(network: PreTrainedModel) -> bool:
    """Whether a classification network's head reads the encoder's pooler; some build one and leave it unread."""
    if getattr(network.base_model, "pooler", None) is None:
        return False
    source = inspect.getsource(type(network).forward)
    return bool(re.search(r"pooler_output|\w+\[1\]|pooled_output = outputs", source))


def find_layers(encoder: nn.Module) -> tuple[str | None, str]:
    """Path of the one list that holds all layers of an encoder; or None, and why it is not beyond doubt.

    It must have `num_hidden_layers` blocks of the same matrices, each with attention and a feed-forward part and
    none shared; outside it there may be embeddings, relative positions, a pooler and vectors (final norms) alone.
    """
    config: Any = encoder.config
    if config.is_encoder_decoder:
        return None, "it has two stacks of layers, an encoder's and a decoder's"
    count = getattr(config, "num_hidden_layers", None)
    lists = [(name, part) for name, part in encoder.named_modules() if isinstance(part, nn.ModuleList) and len(part)]
    candidates = [(name, part) for name, part in lists if len(part) == count]
    if not candidates:
        lengths = ", ".join(f"{name} ({len(part)})" for name, part in lists) or "none"
        return None, f"no list in it has the {count} layers of its configuration (lists: {lengths})"
    if len(candidates) > 1:
        return None, f"{len(candidates)} lists could be its layers: {', '.join(name for name, _ in candidates)}"
    name, layers = candidates[0]
    doubt = next(_doubts(encoder, name, layers), None)
    return (name, "") if doubt is None else (None, doubt)


def _doubts(encoder: nn.Module, name: str, layers: nn.ModuleList) -> Iterator[str]:
    """Why a list may not be an encoder's layers."""
    shapes = [sorted((path, tuple(p.shape)) for path, p in _matrices(layer)) for layer in layers]
    if any(shape != shapes[0] for shape in shapes):
        yield f"the blocks of {name} are not alike"
    if not any(ATTENTION.search(path) for path, _ in shapes[0]):
        yield f"the blocks of {name} hold no attention"
    if all(ATTENTION.search(path) for path, _ in shapes[0]):
        yield f"the blocks of {name} hold attention without a feed-forward part"
    own = [id(p) for layer in layers for _, p in _matrices(layer)]
    if len(set(own)) < len(own):
        yield f"the blocks of {name} share weights"
    rest = [path for path, p in _matrices(encoder) if id(p) not in set(own) and not BESIDE.search(path)]
    if rest:
        yield f"weights beside {name} belong to no layer: {', '.join(rest[:3])}"


def position_limit(encoder: nn.Module) -> int | None:
    """The most tokens of a text that a model's position tables allow; None where there is no limit.

    Rows below the first position are left out: the padding's and those before it (RoBERTa and its kin), or an offset
    that the table itself states (OPT, BART).
    """
    config: Any = encoder.config
    limits = [_positive(getattr(config, "max_position_embeddings", None))]
    for name, part in encoder.named_modules():
        weight = getattr(part, "weight", None)
        if name.rpartition(".")[2] in POSITION_TABLES and weight is not None and weight.ndim == 2:
            padding = getattr(part, "padding_idx", None)
            limits.append(len(weight) - (getattr(part, "offset", 0) if padding is None else padding + 1))
    return min((limit for limit in limits if limit is not None), default=None)


def _positive(value: Any) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


def _matrices(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """Parameters of two and more dimensions; tables of embeddings belong to no layer."""
    tables = {id(p) for part in module.modules() if isinstance(part, nn.Embedding) for p in part.parameters()}
    return ((name, p) for name, p in module.named_parameters() if p.ndim > 1 and id(p) not in tables)
