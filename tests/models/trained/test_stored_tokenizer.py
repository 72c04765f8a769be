"""The stored tokenizer, called as usual, gives the ids and segments that training saw."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.data.further_tokenizers import albert, marked
from transformers import AlbertConfig, AutoTokenizer, BertConfig, RobertaConfig

from thriftune.data.tokens import Tokens, encode
from thriftune.models.pretrained.tokenizer import token_types
from thriftune.models.trained.stored_tokenizer import save_tokenizer

FIRST = ["the cat [SEP] sat on the mat", "the [E1] cat </s><e1> ran", "a", "<mask>[MASK] dog<pad>[PAD]"]
SECOND = ["the dog ran", "on [CLS] mat the cat sat", "the cat sat on the mat the dog ran", "[UNK]<unk> cat"]


def rows(tokens: Tokens, values: Any) -> list[list[int]]:
    return [values[a:b].tolist() for a, b in zip(tokens.offsets, tokens.offsets[1:], strict=False)]


def stored(tokenizer: Any, folder: Path, types: bool) -> Any:
    (folder / "config.json").write_text(json.dumps({"model_type": "bert"}))
    save_tokenizer(tokenizer, folder, token_types=types)
    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("types", [True, False])
@pytest.mark.parametrize("kind", ["bert", "roberta", "deberta", "albert"])
def test_a_plain_call_gives_what_training_saw(kind: str, types: bool, side: str, tmp_path: Path) -> None:
    tokenizer = albert() if kind == "albert" else marked(kind)
    tokenizer.truncation_side = side
    again = stored(tokenizer, tmp_path, types)
    for texts in ([FIRST], [FIRST, SECOND]):
        trained = encode(tokenizer, texts, 12, token_types=types)
        found = again(*texts, truncation=True, max_length=12)
        assert found["input_ids"] == rows(trained, trained.ids)
        assert trained.truncated
        assert ("token_type_ids" in found) == types
        if types:
            assert found["token_type_ids"] == rows(trained, trained.types)
    assert again.truncation_side == side
    assert again.extra_special_tokens == tokenizer.extra_special_tokens
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert again.all_special_ids == tokenizer.all_special_ids


def test_left_truncation_keeps_the_end() -> None:
    tokenizer = marked("bert")
    text = "the cat sat on the mat"
    whole = tokenizer(text)["input_ids"]
    tokenizer.truncation_side = "left"
    for texts, pair in (([[text]], "segments"), ([["dog"], [text]], "one_segment")):
        tokens = encode(tokenizer, texts, 5, pair, token_types=False)  # type: ignore[arg-type]
        assert tokens.ids.tolist() == [whole[0], *whole[-4:]]
        assert tokens.truncated == 1


def test_a_stored_tokenizer_can_be_trained_with_and_stored_again(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    again = stored(marked("deberta"), first, True)
    twice = stored(again, second, True)
    trained = encode(again, [FIRST, SECOND], 12, token_types=True)
    assert twice(FIRST, SECOND, truncation=True, max_length=12)["input_ids"] == rows(trained, trained.ids)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (first / name).read_text() == (second / name).read_text()


class TestTokenTypes:
    def test_what_the_tokenizer_does_not_return_is_not_fed(self, tmp_path: Path) -> None:
        tokenizer = marked("bert")
        assert token_types(BertConfig(), tokenizer)
        tokenizer.save_pretrained(tmp_path)
        path = tmp_path / "tokenizer_config.json"
        config = json.loads(path.read_text()) | {"model_input_names": ["input_ids", "attention_mask"]}
        path.write_text(json.dumps(config))
        (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
        again = AutoTokenizer.from_pretrained(tmp_path)
        assert "token_type_ids" not in again("a", "b")
        assert not token_types(BertConfig(), again)

    def test_albert_keeps_its_segments_unless_its_folder_says_otherwise(self) -> None:
        tokenizer = albert()
        assert "token_type_ids" not in tokenizer("a", "b"), "transformers returns them again"
        assert token_types(AlbertConfig(), tokenizer)
        tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names
        assert not token_types(AlbertConfig(), tokenizer)

    def test_a_model_without_segments_is_fed_none(self) -> None:
        assert not token_types(RobertaConfig(type_vocab_size=1), marked("bert"))
