"""How a model's texts become tokens: its tokenizer, whether it tells segments apart, how long a text may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedTokenizerBase

from thriftune.errors import InputError, first_line
from thriftune.models.classifier import Classifier
from thriftune.models.families import family_of
from thriftune.models.families.guess import position_limit
from thriftune.models.pretrained.json_file import refuse_pointer
from thriftune.models.pretrained.quiet import quiet

TOKENIZER_FILES = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken")
SEGMENTS_NOT_NAMED = ("AlbertTokenizer", "HerbertTokenizer", "RemBertTokenizer", "SplinterTokenizer")
"""Classes that transformers 5 has leave out token types, although their models were pretrained with them and
transformers 4 returned them."""


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer; raises `InputError` where the folder has none."""
    # Without any of its files transformers makes a tokenizer that knows no word.
    if not has_tokenizer(folder):
        raise InputError(f"{folder} has no tokenizer. Save tokenizer.json (or the files it is made from) there.")
    for pattern in ("tokenizer_config.json", *TOKENIZER_FILES):
        for path in filter(Path.is_file, folder.glob(pattern)):
            refuse_pointer(path)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False)
    except Exception as error:
        raise InputError(
            f"The tokenizer in {folder} cannot be loaded: {first_line(error)}. "
            "The folder needs tokenizer.json (or the files it is made from)."
        ) from error
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"The tokenizer in {folder} has no fast version; save a tokenizer.json beside it.")
    return tokenizer


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder holds a tokenizer's files."""
    return any(path.is_file() for pattern in TOKENIZER_FILES for path in folder.glob(pattern))


def returns_token_types(tokenizer: Any) -> bool:
    """Whether a tokenizer's texts come with token types: as its own settings say, else as its class does."""
    if "model_input_names" not in tokenizer.init_kwargs and type(tokenizer).__name__ in SEGMENTS_NOT_NAMED:
        return True
    return "token_type_ids" in tokenizer.model_input_names


def token_types(config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase | None = None) -> bool:
    """Whether models of this configuration tell segments apart by token type ids.

    With its tokenizer: whether they are fed any. What the tokenizer does not return is not fed, as in transformers.
    """
    family = family_of(config.model_type)
    capable = getattr(config, "type_vocab_size", 0) > 1 if family is None else family.uses_token_types(config)
    return capable and (tokenizer is None or returns_token_types(tokenizer))


def longest_text(config: PretrainedConfig) -> int | None:
    """The most tokens that the model's position table allows; None where there is no limit."""
    family = family_of(config.model_type)
    if family is not None:
        return family.max_tokens(config)
    with quiet(), torch.device("meta"):
        return position_limit(AutoModel.from_config(config))


def longest_of(classifier: Classifier) -> int | None:
    """The same of a classifier."""
    known = family_of(classifier.config.model_type)
    return position_limit(classifier.encoder) if known is None else known.max_tokens(classifier.config)
