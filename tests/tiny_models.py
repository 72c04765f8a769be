"""Tiny random models of every family, saved as a user's model folder would be."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import torch
from tests.data import tiny_tokenizers
from transformers import (
    AutoModel,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    ModernBertConfig,
    PretrainedConfig,
    RobertaConfig,
)

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
KINDS = ("bert", "roberta", "electra", "distilbert", "deberta-v2", "deberta-v3", "modernbert")
TOKENIZERS = {"roberta": "roberta", "deberta-v2": "deberta", "deberta-v3": "deberta"}


def config(kind: str, vocabulary: int, padding: int) -> PretrainedConfig:
    """The configuration of a tiny model, shaped as the family's published ones."""
    own: dict[str, PretrainedConfig] = {
        "bert": BertConfig(**SIZE),
        "roberta": RobertaConfig(**{**SIZE, "max_position_embeddings": 66, "type_vocab_size": 1}),
        "electra": ElectraConfig(**SIZE, embedding_size=16),
        "distilbert": DistilBertConfig(dim=32, n_layers=LAYERS, n_heads=4, hidden_dim=48, max_position_embeddings=64),
        "deberta-v2": DebertaV2Config(**DEBERTA, conv_kernel_size=3, conv_act="gelu"),
        "deberta-v3": DebertaV2Config(**DEBERTA),
        "modernbert": ModernBertConfig(
            **SIZE,
            local_attention=8,
            global_attn_every_n_layers=2,
            cls_token_id=2,
            sep_token_id=3,
            bos_token_id=2,
            eos_token_id=3,
        ),
    }
    made = own[kind]
    made.vocab_size = vocabulary
    made.pad_token_id = padding
    return made


@cache
def model_folder(kind: str) -> Path:
    """A folder with weights, config.json and tokenizer; the same one for every caller in a test run."""
    folder = Path(mkdtemp(prefix=f"thriftune-tiny-{kind}-"))
    save_tiny(kind, folder)
    return folder


def save_tiny(kind: str, folder: Path, seed: int = 0) -> None:
    """Saves a tiny model with random weights large enough that its outputs differ between texts."""
    tokenizer = tiny_tokenizers.KINDS[TOKENIZERS.get(kind, "bert")]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModel.from_config(config(kind, len(tokenizer), tokenizer.pad_token_id))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.ndim > 1:
                    parameter.normal_(0, 0.25)
                elif name.endswith("bias"):
                    parameter.normal_(0, 0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
