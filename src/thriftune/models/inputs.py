"""Whether a model takes the token ids that its tokenizer makes: one message before training, where it would not."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np

from thriftune.data.tokens import Tokens
from thriftune.errors import InputError
from thriftune.models.classifier import Classifier
from thriftune.models.padding import padding_id, word_count


def check_inputs(classifier: Classifier, tokenizer: Any, splits: dict[str, Tokens]) -> None:
    """Raises `InputError` for what would end in an index error, or in a number nobody meant, during training.

    Those are texts without tokens, ids and segments beyond the tables, padding that no token can stand for, padding's
    own id in texts whose positions are counted from it, and texts that a head cannot find the end of. The classifier
    may be a skeleton.
    """
    words = word_count(classifier.encoder)
    padding_id(classifier.config, tokenizer, words)
    for split, tokens in splits.items():
        _check_lengths(classifier, split, tokens)
        _check_words(classifier, tokenizer, tokens, words)
        _check_segments(classifier, tokens)
        _check_positions(classifier, tokenizer, tokens)
    if classifier.config.is_encoder_decoder and not classifier.head.bare:
        _check_ends(classifier, splits)


def _check_lengths(classifier: Classifier, split: str, tokens: Tokens) -> None:
    empty = np.flatnonzero(tokens.lengths == 0)
    if len(empty):
        raise InputError(
            f"{len(empty)} of {len(tokens)} {split} texts have no tokens for {classifier.name}, the first of them in "
            f"row {empty[0]} of the split: they are blank, or hold nothing that its tokenizer knows. Remove them."
        )


def _check_words(classifier: Classifier, tokenizer: Any, tokens: Tokens, words: int) -> None:
    largest = int(tokens.ids.max(initial=0))
    if largest >= words:
        beyond = np.unique(tokens.ids[tokens.ids >= words])[:3]
        named = ", ".join(f'{index} ("{tokenizer.convert_ids_to_tokens(int(index))}")' for index in beyond)
        raise InputError(
            f"The tokenizer of {classifier.name} makes the ids {named}, but the model's embedding has {words} rows. "
            "Save the model after model.resize_token_embeddings(len(tokenizer)), or with the tokenizer that it came "
            "with."
        )


def _check_segments(classifier: Classifier, tokens: Tokens) -> None:
    size = getattr(classifier.config, "type_vocab_size", None)
    largest = 0 if tokens.types is None else int(tokens.types.max(initial=0))
    if size is not None and largest >= max(size, 1):
        raise InputError(
            f"The tokenizer of {classifier.name} makes token types up to {largest}, but the model has {size} of them. "
            "Use the tokenizer that the model came with."
        )


def _check_positions(classifier: Classifier, tokenizer: Any, tokens: Tokens) -> None:
    """RoBERTa and its kin count positions by what is not padding."""
    table = getattr(getattr(classifier.encoder, "embeddings", None), "position_embeddings", None)
    own: Any = getattr(table, "padding_idx", None)
    if own is not None and bool((tokens.ids == own).any()):
        raise InputError(
            f'Texts hold the token {own} ("{tokenizer.convert_ids_to_tokens(own)}"), which {classifier.name} takes for '
            f"padding (pad_token_id is {classifier.config.pad_token_id} in its configuration and "
            f"{tokenizer.pad_token_id} in its tokenizer). Use the tokenizer that the model came with."
        )


def _check_ends(classifier: Classifier, splits: dict[str, Tokens]) -> None:
    """An encoder-decoder's head reads where the text ends, and wants as many ends in every text of a batch."""
    config: Any = classifier.config
    if getattr(config, "decoder_start_token_id", None) is None:
        raise InputError(
            f"The configuration of {classifier.name} has no decoder_start_token_id, which its decoder begins with. "
            "Set it in config.json (T5: the padding token's id; BART: the end token's)."
        )
    if "eos_mask" not in inspect.getsource(type(classifier.network).forward):
        return
    end = config.eos_token_id
    for split, tokens in splits.items():
        counts = np.add.reduceat(tokens.ids == end, tokens.offsets[:-1]) if len(tokens) else np.ones(1)
        if counts.min() != counts.max() or not counts.min():
            raise InputError(
                f"The head of {classifier.name} reads a text at its end token (id {end}), of which every text must "
                f"have as many; those of {split} have {counts.min()} to {counts.max()}. Use data.pair: segments, and "
                "the tokenizer that the model came with."
            )
