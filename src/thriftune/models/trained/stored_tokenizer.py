"""The tokenizer as it is stored beside a trained model: called as usual, it gives the tokens that training saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from thriftune.data.plain_tokenizer import plain_tokenizer


def save_tokenizer(
    tokenizer: Any, folder: Path, *, token_types: bool, padding_side: Literal["right", "left"] = "right"
) -> None:
    """Writes a tokenizer that AutoTokenizer loads and that reads texts as `data.tokens.encode` does.

    Structural special tokens written in a text stay text (`split_special_tokens` in tokenizer_config.json), further
    registered tokens stay whole, and token types are returned if `token_types`. All other settings are its own.
    """
    tokenizer.save_pretrained(folder)
    plain_tokenizer(tokenizer).save(str(folder / "tokenizer.json"))
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for key in ("auto_map", "is_local", "local_files_only"):
        config.pop(key, None)
    # Other classes build themselves anew from the vocabulary, and lose what tokenizer.json says beside it.
    config["tokenizer_class"] = "PreTrainedTokenizerFast"
    config["model_input_names"] = ["input_ids", *(["token_type_ids"] if token_types else []), "attention_mask"]
    config["split_special_tokens"] = True
    config["truncation_side"] = tokenizer.truncation_side
    config["padding_side"] = padding_side
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
