"""Token ids that a model cannot take are named before training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, GUESSED, KINDS, RELATIVES, SHARED, model_folder

from thriftune.data.tokens import Tokens, encode
from thriftune.errors import InputError
from thriftune.models.inputs import check_inputs
from thriftune.models.pretrained.load import load_classifier, skeleton
from thriftune.models.pretrained.tokenizer import load_tokenizer
from thriftune.testing import tokenizers as tiny_tokenizers


def tokens(ids: list[list[int]], types: list[int] | None = None) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum([len(text) for text in ids])])
    flat = np.array([index for text in ids for index in text], dtype=np.int32)
    return Tokens(flat, None if types is None else np.array(types, dtype=np.uint8), offsets.astype(np.int64), 0)


def check(kind: str, ids: list[list[int]], types: list[int] | None = None) -> None:
    folder = model_folder(kind)
    check_inputs(skeleton(folder, LABELS), load_tokenizer(folder), {"train": tokens(ids, types)})


@pytest.mark.parametrize("kind", [*KINDS, *RELATIVES, *SHARED, *FURTHER, *GUESSED])
def test_a_models_own_tokens_pass(kind: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS)
    check_inputs(classifier, classifier.tokenizer, {"train": examples(classifier, 20).tokens})


@pytest.mark.parametrize(
    ("kind", "ids", "types", "message"),
    [
        ("bert", [[5, 6], [5, 900]], None, r"makes the ids 900 .*embedding has \d+ rows.*resize_token_embeddings"),
        ("gpt2", [[5, 6], []], None, r"1 of 2 train texts have no tokens .* row 1 of the split"),
        ("bert", [[5, 6]], [0, 3], "token types up to 3, but the model has 2"),
        ("roberta", [[0, 5, 1, 2]], None, r'hold the token 1 \("<pad>"\), which .* takes for padding'),
        ("longformer", [[0, 5, 1, 2]], None, "takes for padding"),
        ("mpnet", [[0, 5, 1, 2]], None, "takes for padding"),
        ("bart", [[0, 5, 2], [0, 5, 2, 2]], None, r"end token \(id 2\).* have 1 to 2"),
        ("t5", [[5, 5], [5, 6]], None, "have 0 to 0"),
    ],
)
def test_what_it_cannot_take_is_named(kind: str, ids: list[list[int]], types: list[int] | None, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(kind, ids, types)


def test_padding_ids_in_texts_are_no_trouble_where_positions_are_not_counted_from_them() -> None:
    check("bert", [[2, 0, 3]])


def test_an_encoder_decoder_needs_a_start() -> None:
    folder = model_folder("t5")
    classifier = skeleton(folder, LABELS)
    config: Any = classifier.config
    config.decoder_start_token_id = None
    with pytest.raises(InputError, match="no decoder_start_token_id"):
        check_inputs(classifier, load_tokenizer(folder), {"train": tokens([[5, 2]])})


def test_a_blank_text_has_no_tokens_where_the_tokenizer_adds_none() -> None:
    found = encode(tiny_tokenizers.gpt2(), [["the cat", ""]], 16, token_types=False)
    folder = model_folder("gpt2")
    with pytest.raises(InputError, match="1 of 2 test texts have no tokens"):
        check_inputs(skeleton(folder, LABELS), load_tokenizer(folder), {"test": found})
    check_inputs(skeleton(folder, LABELS), load_tokenizer(folder), {"test": replace(found, offsets=found.offsets[:2])})
