"""Says where `max_tokens` cuts many texts, and which value would not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from thriftune.data.dataset import Dataset
from thriftune.data.tokens import Pair, Tokens, encode
from thriftune.results.profile import DataWarning
from thriftune.study.proposal.max_tokens import QUANTILE, next_size

MUCH = 0.05
"""The share of cut texts from which it is said."""
_SAMPLE = 2000
_UNCUT = 1_000_000
"""Tokens that no text of a sample exceeds."""


def truncation_warning(
    dataset: Dataset, model: str, folder: Path, max_tokens: int, tokens: Mapping[str, Tokens], pair: Pair
) -> DataWarning | None:
    """What to set `max_tokens` to where more than 5% of a model's texts are cut; None where they are not.

    The value is the smallest usual one that holds 99% of a sample of 2,000 training texts, at most the model's
    positions.
    """
    from thriftune.models.pretrained.load import load_config
    from thriftune.models.pretrained.tokenizer import load_tokenizer, longest_text

    texts = sum(len(part) for part in tokens.values())
    cut = sum(part.truncated for part in tokens.values()) / max(1, texts)
    if cut <= MUCH:
        return None
    train = dataset.splits["train"]
    sample = train.gather_every(max(1, -(-train.height // _SAMPLE)))
    columns = [sample[name].to_list() for name in dataset.text_columns]
    lengths = encode(load_tokenizer(folder), columns, _UNCUT, pair, token_types=False).lengths
    needed = int(np.ceil(np.quantile(lengths, QUANTILE)))
    limit = longest_text(load_config(folder))
    better = next_size(needed, limit)
    message = f"{cut:.0%} of the texts are longer than {max_tokens} tokens for {model}, and what follows is not seen."
    if better <= max_tokens:
        remedy = (
            f"{model} takes no more than {limit} tokens; a model with more positions, or shorter texts, would help."
        )
    elif better < needed:
        still = float((lengths > better).mean())
        remedy = f"protocol.max_tokens: {better} is the most that {model} takes; {still:.0%} would still be cut."
    else:
        remedy = f"protocol.max_tokens: {better} holds nearly all of them (99% have at most {needed:,} tokens)."
    return DataWarning("truncation", message, remedy, cut)
