"""An architecture without a family file trains through its own forward."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.data import tiny_tokenizers
from tests.tiny_data import LABELS
from tests.tiny_models import SIZE
from transformers import AutoModel, MPNetConfig

from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.families import family_of
from thriftune.models.load import load_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mpnet")
    tokenizer = tiny_tokenizers.bert()
    AutoModel.from_config(MPNetConfig(**SIZE, vocab_size=len(tokenizer))).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_layers_and_head_are_guessed_and_said(folder: Path) -> None:
    classifier = load_classifier(folder, LABELS)
    assert family_of("mpnet") is None
    assert len(classifier.layers) == SIZE["num_hidden_layers"]
    assert classifier.cut == SIZE["num_hidden_layers"]
    assert "mpnet" in classifier.notes[0]


def test_lora_asks_for_targets_and_lists_the_modules(folder: Path) -> None:
    with pytest.raises(InputError, match=r"Give targets; its Linear modules are: .*q"):
        find("lora")().apply(load_classifier(folder, LABELS), torch.Generator())
    classifier = load_classifier(folder, LABELS)
    find("lora")(targets=("q", "v")).apply(classifier, torch.Generator())
    assert classifier.cut == 0
