"""Looks at a model folder's small files before transformers does, which answers odd values in odd ways."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thriftune.errors import InputError
from thriftune.models.pretrained.json_file import read_object, shown
from thriftune.paths import check_file

MODEL_FILES = ("*token*.json", "vocab*", "merges*", "*.model", "*.safetensors", "pytorch_model*", "*.index.json")
SMALL = ("config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
MOST_LAYERS = 1_000
"""More than any published encoder has: a slip in config.json would otherwise build for hours."""
MOST_ROWS = 100_000_000
LAYERS = ("num_hidden_layers", "num_layers", "n_layers", "n_layer", "encoder_layers", "decoder_layers")
SIZES = (
    *("hidden_size", "d_model", "dim", "n_embd", "embedding_size", "intermediate_size", "hidden_dim", "d_ff"),
    *("num_attention_heads", "n_heads", "n_head", "encoder_attention_heads", "vocab_size", "num_labels"),
    *("max_position_embeddings", "n_positions"),
)
"""Keys of config.json that are a count, of one thing or more; a list of counts is left to transformers."""
SHARES = ("dropout", "dropout_prob", "dropout_rate", "pdrop", "drop", "layerdrop")
"""How keys end that are a share of what is dropped."""


def check_model_files(folder: Path) -> None:
    """Raises `InputError` for what no model folder should hold: pipes and folders in place of files, settings that
    are no JSON object, and sizes in config.json that are no sizes."""
    for path in sorted({folder / "config.json", *(path for pattern in MODEL_FILES for path in folder.glob(pattern))}):
        check_file(path, "a file of a model, as save_pretrained writes it, or remove it")
    for name in SMALL:
        path = folder / name
        if path.exists():
            settings = read_object(path)
            if name == "config.json":
                check_sizes(path, settings)


def check_sizes(path: Path, config: Mapping[str, Any]) -> None:
    """Raises `InputError` for counts, shares and names in config.json that cannot be; null counts as left out."""
    problems = []
    for key in (*LAYERS, *SIZES):
        most = MOST_LAYERS if key in LAYERS else MOST_ROWS
        value = config.get(key)
        if value is None or isinstance(value, list):
            continue
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            problems.append(f"{key}: {shown(value)} is given; allowed: a whole number from 1 to {most:,}")
    for key, value in config.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if key.endswith(SHARES) and number and not 0 <= value < 1:
            problems.append(f"{key}: {shown(value)} is given; allowed: a share from 0 to 1, 1 excluded")
        elif isinstance(value, float) and math.isnan(value):
            problems.append(f"{key}: NaN is given; allowed: a number")
    kind = config.get("model_type")
    if kind is not None and not isinstance(kind, str):
        problems.append(f"model_type: {shown(kind)} is given; allowed: the architecture's name")
    if problems:
        raise InputError(f"{path} cannot be used:\n  " + "\n  ".join(problems))
