"""Tiny random models, saved as a user's model folder would be."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    MPNetConfig,
    PretrainedConfig,
    PreTrainedModel,
    RobertaConfig,
)

from thriftune.models.pretrained.quiet import quiet
from thriftune.testing import tokenizers

LAYERS = 3
SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 64,
}
DEBERTA: dict[str, Any] = {
    **SIZE,
    "relative_attention": True,
    "position_buckets": 16,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "position_biased_input": False,
    "max_relative_positions": -1,
    "type_vocab_size": 0,
    "layer_norm_eps": 1e-7,
}
MODERN: dict[str, Any] = {
    "local_attention": 8,
    "global_attn_every_n_layers": 2,
    "cls_token_id": 2,
    "sep_token_id": 3,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
CONVOLUTION: dict[str, Any] = {"conv_kernel_size": 3, "conv_act": "gelu"}
KINDS = ("bert", "roberta", "electra", "distilbert", "deberta-v2", "deberta-v3", "modernbert", "mpnet")
"""One of every family whose texts run packed."""
SHARED = ("albert", "albert-groups")
"""Those whose layers are one set of weights, or two."""
ALBERT_DROPOUT: dict[str, Any] = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
"""What the first base models have; later ones have none."""
TOKENIZERS = {"roberta": "roberta", "mpnet": "roberta", "deberta-v2": "deberta", "deberta-v3": "deberta"}


def config(kind: str) -> PretrainedConfig:
    """The configuration of a tiny model, shaped as the family's published ones."""
    own: dict[str, PretrainedConfig] = {
        "bert": BertConfig(**SIZE),
        "roberta": RobertaConfig(**{**SIZE, "max_position_embeddings": 66, "type_vocab_size": 1}),
        "electra": ElectraConfig(**SIZE, embedding_size=16),
        "distilbert": DistilBertConfig(dim=32, n_layers=LAYERS, n_heads=4, hidden_dim=48, max_position_embeddings=64),
        "deberta-v2": DebertaV2Config(**DEBERTA, **CONVOLUTION),
        "deberta-v3": DebertaV2Config(**DEBERTA),
        "modernbert": ModernBertConfig(**SIZE, **MODERN),
        "mpnet": MPNetConfig(**{**SIZE, "max_position_embeddings": 66}),
        "albert": AlbertConfig(**SIZE, embedding_size=16, hidden_act="gelu_new", **ALBERT_DROPOUT),
        "albert-groups": AlbertConfig(
            **{**SIZE, "num_hidden_layers": 4},
            embedding_size=16,
            num_hidden_groups=2,
            inner_group_num=2,
            **ALBERT_DROPOUT,
        ),
    }
    return own[kind]


def tiny_model(kind: str = "bert") -> Path:
    """The folder of a tiny model of one of `KINDS` or `SHARED`; the same one for every caller in a process.

    It goes when the process ends.
    """
    return Path(_saved(kind).name)


@cache
def _saved(kind: str) -> TemporaryDirectory[str]:
    folder = TemporaryDirectory(prefix=f"thriftune-tiny-{kind}-", ignore_cleanup_errors=True)
    save_model(config(kind), Path(folder.name), TOKENIZERS.get(kind, "bert"))
    return folder


def save_model(
    shape: PretrainedConfig, folder: Path, tokenizer: str | Any = "bert", seed: int = 0, encoder: Any = None
) -> None:
    """Saves a model of this configuration with random weights, so large that its outputs differ between texts.

    `tokenizer` is one, or the kind of a tiny one (`thriftune.testing.tokenizers.KINDS`); the configuration's vocabulary
    and padding are then its. `encoder` makes the model from the configuration: `AutoModel`'s where it is left out.
    """
    if isinstance(tokenizer, str):
        tokenizer = tokenizers.KINDS[tokenizer]()
    shape.vocab_size, shape.pad_token_id = len(tokenizer), tokenizer.pad_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = (encoder or AutoModel.from_config)(shape)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.25)
                elif name.endswith("bias"):
                    parameter.normal_(0, 0.1)
    with quiet():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
