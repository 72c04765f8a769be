"""Models that pad: a text's logits among others are those of the text alone, whichever side is padded."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.reference import collate
from tests.methods.peft_reference import train_plain, without_any_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, GUESSED, READS_PADDING, model_folder
from transformers import AutoModelForSequenceClassification

from thriftune.engine.forward import packs
from thriftune.engine.predict import predict, predict_and_embed
from thriftune.engine.protocol import OptimizerSettings, Protocol, ScheduleSettings
from thriftune.engine.sides import NOTE, settle_side
from thriftune.engine.train import Task, fit
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.padding import padding_id
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.save import save_classifier
from thriftune.testing import tokenizers as tiny_tokenizers

PROTOCOL = Protocol(
    epochs=1,
    batch_size=8,
    max_tokens=32,
    schedule=ScheduleSettings(type="constant"),
    optimizer=OptimizerSettings(weight_decay=0.0),
    keep="last",
)
SIDES = {"xlnet": "left"}


def settled(kind: str, count: int = 16) -> tuple[Classifier, Any]:
    classifier = load_classifier(model_folder(kind), LABELS, seed=1)
    data = examples(classifier, count)
    settle_side(classifier, data.tokens, PROTOCOL)
    return classifier, data


@pytest.mark.parametrize("kind", [*FURTHER, *GUESSED])
def test_a_text_among_others_has_the_logits_that_it_has_alone(kind: str) -> None:
    classifier, data = settled(kind)
    assert classifier.reads_padding == (NOTE in classifier.notes) == (kind in READS_PADDING)
    assert classifier.padding_side == SIDES.get(kind, "right")
    assert classifier.tokenizer is not None
    assert classifier.tokenizer.padding_side == classifier.padding_side
    together = predict(classifier, data, PROTOCOL)
    with torch.no_grad():
        alone = [classifier.logits(collate(data, np.array([i]), 0)).numpy() for i in range(len(data))]
    np.testing.assert_allclose(together, np.concatenate(alone), atol=1e-5)
    assert np.ptp(together, axis=0).max() > 1e-3
    assert len(np.unique(data.tokens.lengths)) > 3


@pytest.mark.parametrize("kind", ["funnel", "fnet"])
def test_what_reads_padding_predicts_without_any(kind: str) -> None:
    classifier, data = settled(kind)
    texts = np.arange(len(data))
    expected, _ = predict_and_embed(classifier, data, PROTOCOL, texts)
    for changes in ({"padding": "max"}, {"batch_size": 3}):
        protocol = replace(PROTOCOL, **changes)
        np.testing.assert_allclose(predict(classifier, data, protocol), expected, atol=1e-5)
        np.testing.assert_allclose(predict_and_embed(classifier, data, protocol, texts)[0], expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "side"), [("fnet", None), ("bart", "right"), ("xlnet", "left"), ("gpt2", "right")])
def test_the_side_is_found_where_all_texts_are_cut(kind: str, side: str | None) -> None:
    classifier = load_classifier(model_folder(kind), LABELS, seed=1)
    tokens = examples(classifier, 8, max_tokens=6).tokens
    assert set(tokens.lengths.tolist()) == {6}
    settle_side(classifier, tokens, replace(PROTOCOL, max_tokens=6))
    assert classifier.reads_padding == (side is None)
    assert classifier.padding_side == (side or "right")


@pytest.mark.parametrize("kind", ["gpt2", "llama", "opt", "xlnet"])
def test_what_is_stored_pads_as_the_training_did(kind: str, tmp_path: Path) -> None:
    """transformers alone, with the stored tokenizer's own padding."""
    from transformers import AutoTokenizer

    classifier, data = settled(kind)
    save_classifier(classifier, tmp_path)
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.pad_token_id == network.config.pad_token_id == classifier.config.pad_token_id
    ids = [list(map(int, data.tokens.ids[a:b])) for a, b in pairwise(data.tokens.offsets)]
    batch = tokenizer.pad({"input_ids": ids}, return_tensors="pt")
    with torch.no_grad():
        found = network(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits.numpy()
    np.testing.assert_allclose(found, predict(classifier, data, PROTOCOL), atol=1e-5)


@pytest.mark.parametrize(
    "kind", ["mpnet", "albert", "longformer", "xlm", "funnel", "gpt2", "bart", "t5", "xlnet", "llama"]
)
@pytest.mark.parametrize("method", ["full", "head_only"])
def test_losses_are_those_of_a_plain_loop(kind: str, method: str, tmp_path: Path) -> None:
    classifier, data = settled(kind)
    made: Any = find(method)()
    made.apply(classifier, torch.Generator())
    plain = AutoModelForSequenceClassification.from_pretrained(model_folder(kind), num_labels=len(LABELS))
    plain.config.pad_token_id = classifier.config.pad_token_id
    plain.load_state_dict(classifier.network.state_dict())
    trained = {name for name, _ in classifier.trained()}
    for name, parameter in plain.named_parameters():
        parameter.requires_grad_(name in trained)
    for network in (classifier.network, plain):
        without_any_dropout(network)
    expected = train_plain(plain, data, int(classifier.config.pad_token_id or 0), classifier.padding_side, 2)
    task = Task(classifier, data, None, PROTOCOL, 5e-3, 5, tmp_path / "best")
    np.testing.assert_allclose([point.loss for point in fit(task).steps], expected, rtol=1e-5)


def test_the_vector_of_a_decoder_is_its_last_tokens() -> None:
    classifier, data = settled("gpt2")
    encoder: Any = classifier.encoder
    _, vectors = predict_and_embed(classifier, data, PROTOCOL, np.array([0, 3]))
    for row, index in enumerate((0, 3)):
        with torch.no_grad():
            states = encoder(**collate(data, np.array([index]), 0)).last_hidden_state[0, -1]
        np.testing.assert_allclose(vectors[row].astype(float), states.numpy(), rtol=2e-3, atol=2e-3)


def test_a_causal_bert_takes_the_reference_path(tmp_path: Path) -> None:
    for path in model_folder("bert").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text()) | {"is_decoder": True}
    (tmp_path / "config.json").write_text(json.dumps(config))
    classifier = load_classifier(tmp_path, LABELS, seed=1)
    data = examples(classifier, 8)
    assert not packs(classifier, PROTOCOL)
    assert any("is_decoder" in note for note in classifier.notes)
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path, num_labels=3).eval()
    plain.load_state_dict(classifier.network.state_dict())
    with torch.no_grad():
        expected = plain(**collate(data, np.arange(8), 0)).logits.numpy()
    np.testing.assert_allclose(predict(classifier, data, PROTOCOL), expected, atol=1e-6)
    assert packs(load_classifier(model_folder("bert"), LABELS), PROTOCOL)


class TestPaddingToken:
    def config(self, **changes: Any) -> Any:
        from transformers import GPT2Config

        return GPT2Config(vocab_size=262, bos_token_id=0, eos_token_id=0, **changes)

    def test_a_decoders_is_the_tokenizers(self) -> None:
        tokenizer = tiny_tokenizers.gpt2()
        assert padding_id(self.config(), tokenizer, 262)[0] == tokenizer.eos_token_id
        tokenizer.pad_token = "the"
        assert padding_id(self.config(pad_token_id=3), tokenizer, 262) == (tokenizer.pad_token_id, None)

    def test_one_that_the_embedding_lacks_is_not_taken(self) -> None:
        tokenizer = tiny_tokenizers.gpt2()
        tokenizer.add_special_tokens({"pad_token": "[PAD]"})
        assert tokenizer.pad_token_id == 262
        found, note = padding_id(self.config(), tokenizer, 262)
        assert found == tokenizer.eos_token_id
        assert note is not None
        assert "<|endoftext|>" in note
        assert padding_id(self.config(pad_token_id=-1), tokenizer, 262)[0] == found

    def test_a_token_that_ends_every_text_cannot_stand_in(self) -> None:
        """The head would read the token before it."""
        from tokenizers.processors import TemplateProcessing

        tokenizer = tiny_tokenizers.gpt2()
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single="$A <|endoftext|>", special_tokens=[("<|endoftext|>", 0)]
        )
        with pytest.raises(InputError, match="no other special token can stand in"):
            padding_id(self.config(), tokenizer, 262)
        tokenizer.unk_token = "at"
        assert padding_id(self.config(), tokenizer, 262)[0] == tokenizer.unk_token_id
