"""Text never becomes a structural special token; what a publisher registered beside those is read as theirs."""

from __future__ import annotations

from typing import Any

import pytest
from tests.data.further_tokenizers import MARKERS, albert, marked
from tokenizers import AddedToken

from thriftune.data.plain_tokenizer import plain_tokenizer, structural_ids
from thriftune.testing.tokenizers import KINDS

NAMES = ("bert", "roberta", "deberta")


def words(tokenizer: Any, text: str) -> list[str]:
    return plain_tokenizer(tokenizer).encode(text, add_special_tokens=False).tokens


@pytest.mark.parametrize("kind", NAMES)
def test_registered_markers_are_whole_as_the_publisher_has_them(kind: str) -> None:
    tokenizer = marked(kind)
    text = "the [E1] cat <e1>sat on[E1]"
    own = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert plain_tokenizer(tokenizer).encode(text, add_special_tokens=False).ids == own
    assert {tokenizer.convert_tokens_to_ids(marker) for marker in MARKERS} <= set(own)


@pytest.mark.parametrize("kind", NAMES)
def test_structural_tokens_beside_markers_stay_text(kind: str) -> None:
    tokenizer = marked(kind)
    structural = structural_ids(tokenizer, plain_tokenizer(tokenizer))
    for word in structural.values():
        ids = plain_tokenizer(tokenizer).encode(f"a{word}[E1] {word} b", add_special_tokens=False).ids
        assert not set(ids) & (set(structural) - {tokenizer.unk_token_id}), word
        assert tokenizer.convert_tokens_to_ids("[E1]") in ids


def test_a_marker_that_also_has_a_role_is_structural() -> None:
    tokenizer = KINDS["bert"]()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[SEP]", "[E1]"]})
    assert words(tokenizer, "a [SEP] [E1]") == ["a", "[", "s", "##e", "##p", "]", "[E1]"]


def test_what_the_template_adds_is_structural_without_a_role() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = KINDS["bert"]()
    tokenizer.add_special_tokens({"additional_special_tokens": ["[LANG]"]})
    index = tokenizer.convert_tokens_to_ids("[LANG]")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="[LANG] $A", pair="[LANG] $A $B:1", special_tokens=[("[LANG]", index)]
    )
    assert structural_ids(tokenizer, plain_tokenizer(tokenizer))[index] == "[LANG]"
    assert "[LANG]" not in words(tokenizer, "a [LANG] b")


def test_a_tokenizer_that_splits_its_special_tokens_splits_its_markers_too() -> None:
    tokenizer = marked("bert")
    tokenizer.split_special_tokens = True
    assert MARKERS[0] not in words(tokenizer, "a [E1] b")
    assert MARKERS[1] in words(tokenizer, "a <e1> b")


def test_markers_keep_how_they_are_matched() -> None:
    tokenizer = KINDS["bert"]()
    tokenizer.add_special_tokens({"additional_special_tokens": [AddedToken("[e]", single_word=True, special=True)]})
    for text in ("a [e] b", "a[e]b", "[E]"):
        own = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert plain_tokenizer(tokenizer).encode(text, add_special_tokens=False).ids == own


@pytest.mark.parametrize("make", [albert, KINDS["deberta"]])
def test_pieces_of_a_unigram_vocabulary_are_broken_and_nothing_else(make: Any) -> None:
    tokenizer = make()
    structural = set(structural_ids(tokenizer, plain_tokenizer(tokenizer))) - {tokenizer.unk_token_id}
    plain = plain_tokenizer(tokenizer)
    for text in ("[SEP]", "the[CLS]cat [MASK]", "［SEP］", "[[SEP]]", "<pad><unk>"):
        assert not structural & set(plain.encode(text, add_special_tokens=False).ids), text
    for text in ("the [cat] sat", "[SE", "a < b > c"):
        assert plain.encode(text).ids == tokenizer(text)["input_ids"], text
