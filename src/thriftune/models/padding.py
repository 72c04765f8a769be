"""Which token pads a batch, where a model or its tokenizer does not say, and what token ids a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from thriftune.models.classifier import Classifier


def is_causal(config: PretrainedConfig) -> bool:
    """Whether an architecture is a decoder, whose tokens see those before them alone."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    return config.model_type in CAUSAL and config.model_type not in MASKED


def padding_id(config: PretrainedConfig, tokenizer: Any, words: int) -> tuple[int, str | None]:
    """The token that pads, and a note where it is another than the model's own; `words`: rows of the embedding.

    A decoder's head finds the last token by its id, so there the tokenizer's padding token comes first, and without
    one a token that ends no text: the end-of-text token, else the unknown one. Raises `InputError` where there is none.
    """

    def usable(token: int | None) -> bool:
        return token is not None and 0 <= token < words

    own, given = config.pad_token_id, tokenizer.pad_token_id
    order = (given, own) if is_causal(config) else (own, given)
    for token in order:
        if usable(token):
            return int(token), None  # type: ignore[arg-type]
    added = {*tokenizer("a")["input_ids"][-1:]} - {*tokenizer("a", add_special_tokens=False)["input_ids"]}
    for token in (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id):
        if usable(token) and token not in added:
            name = tokenizer.convert_ids_to_tokens(token)
            return int(token), f'The model has no padding token; batches are padded with "{name}", and model/ says so.'
    raise InputError(
        "Neither the model nor its tokenizer has a padding token, and no other special token can stand in. "
        "Set tokenizer.pad_token to a token that the embedding has, and save the tokenizer."
    )


def settle_padding(classifier: Classifier) -> None:
    """Gives a classifier's configuration and its tokenizer one and the same padding token."""
    tokenizer: Any = classifier.tokenizer
    config = classifier.config
    token, note = padding_id(config, tokenizer, word_count(classifier.encoder))
    if config.pad_token_id != token:
        config.pad_token_id = token
        network: Any = classifier.network
        if getattr(network, "config", None) is not None:
            network.config.pad_token_id = token
    if tokenizer.pad_token_id != token:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(token)
    if note is not None:
        classifier.notes = (*classifier.notes, note)


def sorted_batches(lengths: np.ndarray, batch_size: int, *, equal: bool = False) -> list[np.ndarray]:
    """All texts, longest first, in batches of similar length: for prediction, where order does not matter.

    With `equal` the texts of a batch have one length, so that none is padded.
    """
    order = np.argsort(-lengths, kind="stable")
    breaks: Any = np.flatnonzero(np.diff(lengths[order])) + 1 if equal else []
    return [
        run[start : start + batch_size] for run in np.split(order, breaks) for start in range(0, len(run), batch_size)
    ]


def word_count(encoder: Any) -> int:
    """Rows of the word embedding: token ids are below it."""
    table = encoder.get_input_embeddings()
    return int(getattr(table, "num_embeddings", None) or len(table.weight))
