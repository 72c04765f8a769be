"""Configurations of models from 4 million to 7 billion parameters, from their public descriptions; no weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from thriftune.errors import unknown_name

_TEXTS = {"max_position_embeddings": 512, "pad_token_id": 0}


def _bert(layers: int, hidden: int, heads: int) -> dict[str, Any]:
    """BERT's shape (Devlin et al. 2019, Turc et al. 2019): feed-forward four times as wide."""
    size = {"num_hidden_layers": layers, "hidden_size": hidden, "num_attention_heads": heads}
    words = {"vocab_size": 30522, "type_vocab_size": 2}
    return {"model_type": "bert", **size, "intermediate_size": 4 * hidden, **words, **_TEXTS}


SIZES: dict[str, dict[str, Any]] = {
    "bert-tiny": _bert(2, 128, 2),
    "minilm": _bert(6, 384, 12),
    "distilbert-base": {
        "model_type": "distilbert",
        "n_layers": 6,
        "dim": 768,
        "n_heads": 12,
        "hidden_dim": 3072,
        "vocab_size": 30522,
        **_TEXTS,
    },
    "bert-base": _bert(12, 768, 12),
    "bert-large": _bert(24, 1024, 16),
    "deberta-v2-xxlarge": {
        "model_type": "deberta-v2",
        "num_hidden_layers": 48,
        "hidden_size": 1536,
        "num_attention_heads": 24,
        "intermediate_size": 6144,
        "vocab_size": 128100,
        "type_vocab_size": 0,
        **_TEXTS,
        "relative_attention": True,
        "position_buckets": 256,
        "pos_att_type": ["p2c", "c2p"],
        "share_att_key": True,
        "norm_rel_ebd": "layer_norm",
        "conv_kernel_size": 3,
        "conv_act": "gelu",
        "position_biased_input": False,
        "max_relative_positions": -1,
        "layer_norm_eps": 1e-7,
    },
    "llama-7b": {
        "model_type": "llama",
        "num_hidden_layers": 32,
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "intermediate_size": 11008,
        "vocab_size": 32000,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-5,
        "pad_token_id": 0,
    },
}
"""By name, smallest first. The decoder (Touvron et al. 2023) is estimated with a classification head."""


def write_config(name: str, folder: Path) -> Path:
    """Writes config.json into a folder of the model's name and returns it; raises `InputError` for another name."""
    if name not in SIZES:
        raise unknown_name("model size", name, SIZES)
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "config.json").write_text(json.dumps(SIZES[name]), encoding="utf-8")
    return path
