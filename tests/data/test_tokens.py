from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thriftune.data.tokens import Tokens, encode
from thriftune.errors import InputError
from thriftune.testing.tokenizers import KINDS

TOKENIZERS = {name: make() for name, make in KINDS.items()}
SPECIAL = ["[CLS]", "[SEP]", "[MASK]", "[PAD]", "<s>", "</s>", "<mask>", "<pad>"]

texts = st.lists(st.sampled_from([*"abcz .,!é中\u200b\n", "the", " cat", " sat"]), max_size=30).map("".join)
hostile = st.lists(st.one_of(texts, st.sampled_from(SPECIAL)), max_size=6).map("".join)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=list(KINDS))
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return TOKENIZERS[request.param]


@pytest.fixture(params=[kind for kind, made in TOKENIZERS.items() if made.sep_token is not None])
def separating(request: pytest.FixtureRequest) -> Any:
    """Tokenizers of encoders: with a separator, and special tokens around a text."""
    return TOKENIZERS[request.param]


def rows(tokens: Tokens) -> list[list[int]]:
    return [tokens.ids[a:b].tolist() for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


def type_rows(tokens: Tokens) -> list[list[int]]:
    assert tokens.types is not None
    return [tokens.types[a:b].tolist() for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


@quick
@given(pairs=st.lists(st.tuples(texts, texts), min_size=1, max_size=4), max_tokens=st.integers(5, 40))
def test_pairs_are_what_the_tokenizer_makes_of_them(tokenizer: Any, pairs: Any, max_tokens: int) -> None:
    first, second = (list(column) for column in zip(*pairs, strict=True))
    own = tokenizer(first, second, truncation="longest_first", max_length=max_tokens, return_token_type_ids=True)
    ours = encode(tokenizer, [first, second], max_tokens, token_types=True)
    assert rows(ours) == own["input_ids"]
    assert type_rows(ours) == own["token_type_ids"]
    whole = tokenizer(first, second)["input_ids"]
    assert ours.truncated == sum(len(row) > max_tokens for row in whole)


@quick
@given(single=st.lists(texts, min_size=1, max_size=4), max_tokens=st.integers(3, 20))
def test_single_texts_are_what_the_tokenizer_makes_of_them(tokenizer: Any, single: Any, max_tokens: int) -> None:
    own = tokenizer(single, truncation=True, max_length=max_tokens)
    assert rows(encode(tokenizer, [single], max_tokens, token_types=False)) == own["input_ids"]


@quick
@given(first=hostile, second=hostile, pair=st.sampled_from(["segments", "one_segment"]))
def test_special_tokens_in_texts_stay_text(separating: Any, first: str, second: str, pair: Any) -> None:
    tokens = encode(separating, [[first], [second]], 10_000, pair, token_types=False)
    clean = encode(separating, [["a"], ["b"]], 10_000, pair, token_types=False)
    special = set(special_ids(separating)) - {separating.unk_token_id}

    def count(found: Tokens) -> int:
        return sum(index in special for index in found.ids.tolist())

    assert count(tokens) == count(clean)


def special_ids(tokenizer: Any) -> dict[int, str]:
    """The special tokens by id: those of the tokenizer and those that its vocabulary marks as special."""
    named = dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True))
    added = tokenizer.backend_tokenizer.get_added_tokens_decoder()
    return named | {index: token.content for index, token in added.items() if token.special}


def test_a_written_separator_keeps_its_letters(separating: Any) -> None:
    tokens = encode(separating, [["a [SEP] </s> b"]], 99, token_types=False)
    words = separating.convert_ids_to_tokens(tokens.ids.tolist())
    assert "".join(word.strip("#▁Ġ") for word in words[1:-1]).lower() == "a[sep]</s>b"


def test_the_separating_is_left_as_it_was(separating: Any) -> None:
    before = separating.backend_tokenizer.to_str()
    encode(separating, [["the cat [SEP]"], ["sat"]], 8, token_types=True)
    assert separating.backend_tokenizer.to_str() == before
    assert separating.backend_tokenizer.encode_special_tokens is False
    assert separating.sep_token_id in separating("a" + separating.sep_token, add_special_tokens=False)["input_ids"]


def test_one_segment_has_one_separator_and_is_cut_at_the_end(separating: Any) -> None:
    cls, sep = separating.cls_token_id, separating.sep_token_id
    a, b = (separating(text, add_special_tokens=False)["input_ids"] for text in ("the cat", "sat on the mat"))
    whole = encode(separating, [["the cat"], ["sat on the mat"]], 99, "one_segment", token_types=True)
    assert rows(whole) == [[cls, *a, sep, *b, sep]]
    assert type_rows(whole) == [[0] * len(whole.ids)]
    assert whole.truncated == 0
    cut = encode(separating, [["the cat"], ["sat on the mat"]], len(a) + 4, "one_segment", token_types=True)
    assert rows(cut) == [[cls, *a, sep, b[0], sep]]
    assert cut.truncated == 1


def test_types_are_left_out_for_models_without_them(tokenizer: Any) -> None:
    assert encode(tokenizer, [["a"], ["b"]], 9, token_types=False).types is None


def test_arrays_are_small_and_lengths_follow(tokenizer: Any) -> None:
    tokens = encode(tokenizer, [["the cat", "the"]], 9, token_types=True)
    assert tokens.types is not None
    assert (tokens.ids.dtype, tokens.types.dtype, tokens.offsets.dtype) == (np.int32, np.uint8, np.int64)
    assert tokens.lengths.tolist() == [len(row) for row in rows(tokens)]
    assert len(tokens) == 2


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("token_types", [False, True])
def test_saved_tokens_come_back(tmp_path: Path, mmap: bool, token_types: bool) -> None:
    tokens = encode(TOKENIZERS["bert"], [["the cat", "sat"], ["a", "b"]], 5, token_types=token_types)
    tokens.save(tmp_path / "new" / "folder")
    back = Tokens.load(tmp_path / "new" / "folder", mmap=mmap)
    assert rows(back) == rows(tokens)
    assert back.truncated == tokens.truncated == 1
    assert (back.types is None) == (not token_types)
    assert isinstance(back.ids, np.memmap) == mmap


def test_no_room_for_text_is_an_error() -> None:
    with pytest.raises(InputError, match="max_tokens 3 leaves no room for text: 3 are special"):
        encode(TOKENIZERS["bert"], [["a"], ["b"]], 3, token_types=True)


def test_a_slow_tokenizer_is_an_error() -> None:
    class Slow:
        pass

    with pytest.raises(InputError, match="no fast"):
        encode(Slow(), [["a"]], 9, token_types=True)


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        encode(TOKENIZERS["bert"], [["a"], []], 9, token_types=True)
