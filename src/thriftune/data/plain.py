"""A tokenizer for user text: the words "[SEP]" or "</s>" in it stay words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError

if TYPE_CHECKING:
    import tokenizers


def plain_tokenizer(tokenizer: Any) -> tokenizers.Tokenizer:
    """A copy of a transformers tokenizer's backend that never turns text into special tokens.

    Its own template still adds the real ones. The copy neither pads nor truncates; the tokenizer passed in
    stays as it is. Raises `InputError` for a tokenizer without a fast backend.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "encode_special_tokens"):
        raise InputError(
            f"The tokenizer {type(tokenizer).__name__} has no fast (tokenizers) backend. "
            "Use a model folder that holds a tokenizer.json."
        )
    ids = special_ids(tokenizer)
    # Unknown characters become the unknown token by right, so its id proves nothing.
    known = {index: word for index, word in ids.items() if index != tokenizer.unk_token_id}
    plain = _copy(backend.to_str())
    if _leaks(plain, known):
        # A Unigram model finds "[SEP]" as a piece of its own vocabulary: encode_special_tokens does not help.
        plain = _copy(_without_special_words(backend.to_str(), set(ids)))
    if _leaks(plain, known):
        raise InputError(
            f"The tokenizer {type(tokenizer).__name__} reads special tokens such as "
            f'"{next(iter(known.values()))}" in plain text, and this cannot be switched off. Use another model.'
        )
    return plain


def special_ids(tokenizer: Any) -> dict[int, str]:
    """The special tokens by id: those of the tokenizer and those that its vocabulary marks as special."""
    named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    return named | {index: token.content for index, token in added.items() if token.special}


def _copy(serialized: str) -> tokenizers.Tokenizer:
    import tokenizers

    copy = tokenizers.Tokenizer.from_str(serialized)
    copy.no_padding()
    copy.no_truncation()
    copy.encode_special_tokens = True
    return copy


def _leaks(plain: tokenizers.Tokenizer, ids: dict[int, str]) -> bool:
    """Whether a special token's text still becomes its id, alone or inside other text."""
    return any(
        index in plain.encode(text, add_special_tokens=False).ids
        for index, word in ids.items()
        for text in (word, f"a {word} b", f"a{word}b")
    )


def _without_special_words(serialized: str, ids: set[int]) -> str:
    """The tokenizer with its special vocabulary entries renamed to what no text can contain.

    The entries keep their ids and scores, so other text is tokenised as before.
    """
    state = json.loads(serialized)
    vocab = state["model"]["vocab"]
    if isinstance(vocab, list):
        state["model"]["vocab"] = [
            [_unwritable(word), score] if index in ids else [word, score] for index, (word, score) in enumerate(vocab)
        ]
    else:
        unknown = state["model"].get("unk_token")
        state["model"]["vocab"] = {
            _unwritable(word) if index in ids and word != unknown else word: index for word, index in vocab.items()
        }
    return json.dumps(state)


def _unwritable(word: str) -> str:
    # Pre-tokenizers replace or split at blanks, so no piece of text holds one between noncharacters.
    return f"\ufdd0 {word} \ufdd0"
