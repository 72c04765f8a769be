"""A tokenizer for user text: "[SEP]" or "</s>" in it stay words, markers that a publisher added stay whole."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from thriftune.errors import InputError

if TYPE_CHECKING:
    import tokenizers

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def plain_tokenizer(tokenizer: Any) -> tokenizers.Tokenizer:
    """A copy of a transformers tokenizer's backend that never turns text into structural special tokens.

    Its own template still adds the real ones. Further registered tokens, such as the markers "[E1]" or "<e1>", are
    read in text exactly as the tokenizer reads them. The copy neither pads nor truncates; the tokenizer passed in
    stays as it is. Raises `InputError` for a tokenizer without a fast backend.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not hasattr(backend, "encode_special_tokens"):
        raise InputError(
            f"The tokenizer {type(tokenizer).__name__} has no fast (tokenizers) backend. "
            "Use a model folder that holds a tokenizer.json."
        )
    plain = _copy(backend.to_str())
    structural = structural_ids(tokenizer, plain)
    # Unknown characters become the unknown token by right, so its id proves nothing.
    known = {index: word for index, word in structural.items() if index != tokenizer.unk_token_id}
    added = plain.get_added_tokens_decoder()
    if not tokenizer.split_special_tokens and any(t.special and i not in structural for i, t in added.items()):
        plain = _changed(plain, lambda state: _keep_further_tokens(state, set(structural)))
    if _leaks(plain, known):
        # A Unigram model finds "[SEP]" as a piece of its own vocabulary: encode_special_tokens does not help.
        plain = _changed(plain, lambda state: _break_words(state, list(structural.values())))
    if _leaks(plain, known):
        raise InputError(
            f"The tokenizer {type(tokenizer).__name__} reads special tokens such as "
            f'"{next(iter(known.values()))}" in plain text, and this cannot be switched off. Use another model.'
        )
    return plain


def structural_ids(tokenizer: Any, plain: tokenizers.Tokenizer) -> dict[int, str]:
    """The tokens that only the tokenizer itself may set, by id: those with a role, and what its template adds."""
    words = [str(token) for role in ROLES if (token := getattr(tokenizer, role, None)) is not None]
    found = {index: word for word in words if (index := plain.token_to_id(word)) is not None}
    for encoding in (plain.encode("a"), plain.encode("a", "a")):
        for index, word, sequence in zip(encoding.ids, encoding.tokens, encoding.sequence_ids, strict=True):
            if sequence is None:
                found.setdefault(index, word)
    return found


def _copy(serialized: str) -> tokenizers.Tokenizer:
    import tokenizers

    copy = tokenizers.Tokenizer.from_str(serialized)
    copy.no_padding()
    copy.no_truncation()
    copy.encode_special_tokens = True
    return copy


def _changed(plain: tokenizers.Tokenizer, change: Callable[[dict[str, Any]], None]) -> tokenizers.Tokenizer:
    state = json.loads(plain.to_str())
    change(state)
    return _copy(json.dumps(state))


def _keep_further_tokens(state: dict[str, Any], structural: set[int]) -> None:
    """`encode_special_tokens` splits what is marked as special: further tokens are no longer marked so."""
    for token in state["added_tokens"]:
        token["special"] = token["special"] and token["id"] in structural


def _leaks(plain: tokenizers.Tokenizer, ids: dict[int, str]) -> bool:
    """Whether a special token's text still becomes its id, alone or inside other text."""
    return any(
        index in plain.encode(text, add_special_tokens=False).ids
        for index, word in ids.items()
        for text in (word, f"a {word} b", f"a{word}b")
    )


def _break_words(state: dict[str, Any], words: list[str]) -> None:
    """The pre-tokenizer also cuts these words after their first character; other text is tokenised as before."""
    pattern = "|".join(f"{re.escape(word[0])}(?={re.escape(word[1:])})" for word in words if len(word) > 1)
    cut = {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    before = [] if state["pre_tokenizer"] is None else [state["pre_tokenizer"]]
    state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [*before, cut]}
