"""Architectures that no packed forward serves: their layers are known or refused, their heads found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import FURTHER, GUESSED, LAYERS, model_folder
from torch import nn

from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.sides import settle_side
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.families import family_of
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier, load_config, skeleton
from thriftune.models.pretrained.tokenizer import longest_text

LAYERS_OF = {"funnel": 4}
UNKNOWN = {
    "bart": "two stacks",
    "t5": "two stacks",
    "fnet": "hold no attention",
}
HEADS = {
    "xlm": ("sequence_summary",),
    "funnel": ("classifier",),
    "deberta": ("pooler", "classifier"),
    "gpt2": ("score",),
    "bart": ("classification_head",),
    "t5": ("classification_head",),
    "xlnet": ("sequence_summary", "logits_proj"),
    "ernie": ("ernie.pooler", "classifier"),
}


def shapes(kind: str) -> Classifier:
    return skeleton(model_folder(kind), LABELS)


def applied(kind: str, name: str, **settings: Any) -> Classifier:
    made: Any = find(name)(**settings)
    classifier = shapes(kind)
    made.apply(classifier, torch.Generator().manual_seed(0))
    return classifier


@pytest.mark.parametrize("kind", [*FURTHER, *GUESSED])
def test_layers_are_whole_blocks_or_not_known_at_all(kind: str) -> None:
    """Every layer has attention and feed-forward, and all of them hold the encoder's matrices."""
    classifier = shapes(kind)
    if kind in UNKNOWN:
        assert len(classifier.layers) == 0
        assert UNKNOWN[kind] in classifier.family.why_no_layers
        return
    assert len(classifier.layers) == LAYERS_OF.get(kind, LAYERS)
    sizes = {sum(p.numel() for p in layer.parameters()) for layer in classifier.layers}
    assert len(sizes) == 1
    tables = {id(p) for m in classifier.encoder.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    inside = {id(p) for layer in classifier.layers for p in layer.parameters()}
    rest = [name for name, p in classifier.encoder.named_parameters() if p.ndim > 1 and id(p) not in inside | tables]
    assert all("pooler" in name or "emb" in name for name in rest), rest


@pytest.mark.parametrize("kind", UNKNOWN)
def test_methods_that_name_layers_are_refused_and_the_others_are_not(kind: str) -> None:
    for name, settings in (
        ("top_layers", {"layers": 1}),
        ("lora", {"layers": "top 1"}),
        ("lora_fa", {"layers": "top 1"}),
    ):
        with pytest.raises(InputError, match=f"is not known: .*{UNKNOWN[kind]}"):
            applied(kind, name, **settings)
    targets = {"targets": ("dense",)} if kind == "fnet" else {}
    assert applied(kind, "lora", **targets).cut is None
    assert applied(kind, "full").cut is None
    assert applied(kind, "head_only").cut == 0


@pytest.mark.parametrize(("kind", "names"), HEADS.items())
def test_the_head_is_all_that_follows_the_encoder(kind: str, names: tuple[str, ...]) -> None:
    classifier = shapes(kind)
    assert classifier.head_names == names
    beside = [n for n, p in classifier.network.named_parameters() if not n.startswith(f"{_prefix(classifier)}.")]
    assert set(beside) <= {name for name, _ in classifier.trained()}


def _prefix(classifier: Classifier) -> str:
    return str(classifier.network.base_model_prefix)


def test_a_pooler_that_no_head_reads_is_not_the_heads() -> None:
    from transformers import AutoModelForSequenceClassification, BigBirdConfig

    from thriftune.models.families.guess import guess_family

    with torch.device("meta"):
        network = AutoModelForSequenceClassification.from_config(
            BigBirdConfig(
                hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48, vocab_size=9
            )
        )
    assert network.base_model.pooler is not None
    assert guess_family(network).head == ("classifier",)


def test_what_was_guessed_is_said() -> None:
    assert family_of("ernie") is None
    (note,) = load_classifier(model_folder("ernie"), LABELS).notes
    assert '"ernie" is not known by name' in note
    assert "encoder.layer" in note
    assert not load_classifier(model_folder("longformer"), LABELS).notes


@pytest.mark.parametrize(("kind", "cut"), [("longformer", 0), ("gpt2", 0), ("xlm", 0), ("bart", None)])
def test_default_lora_targets(kind: str, cut: int | None) -> None:
    classifier = applied(kind, "lora")
    assert classifier.cut == cut
    adapted = {n.split(".lora_")[0].rpartition(".")[2] for n, _ in classifier.trained() if ".lora_" in n}
    assert adapted
    if classifier.family.lora_targets:
        assert adapted == set(classifier.family.lora_targets)


def test_lora_asks_for_targets_and_lists_the_modules() -> None:
    with pytest.raises(InputError, match=r"Give targets; its Linear modules are: .*query"):
        applied("ernie", "lora")
    assert applied("ernie", "lora", targets=("query", "value")).cut == 0


@pytest.mark.parametrize(
    ("kind", "limit"),
    [
        ("longformer", 64),
        ("bart", 64),
        ("opt", 64),
        ("xlm", 64),
        ("gpt2", 64),
        ("xlnet", None),
        ("t5", None),
    ],
)
def test_longest_text_leaves_out_the_paddings_positions(kind: str, limit: int | None) -> None:
    """Tables: longformer 66 with padding 1, opt and bart 66 with an offset of 2."""
    assert longest_text(load_config(model_folder(kind))) == limit


def test_a_guessed_tables_padding_is_left_out_too() -> None:
    from transformers import AutoModel, Data2VecTextConfig

    from thriftune.models.families.guess import position_limit

    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "vocab_size": 9}
    with torch.device("meta"):
        assert position_limit(AutoModel.from_config(Data2VecTextConfig(**sizes, max_position_embeddings=514))) == 512


@pytest.mark.parametrize(("kind", "message"), [("gpt2", "has seen no other"), ("bart", "has a decoder too")])
def test_a_linear_head_on_the_first_token_of_a_decoder_is_refused(kind: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        skeleton(model_folder(kind), LABELS, HeadSettings(type="linear"))


def test_the_linear_heads_network_needs_no_own_head(tmp_path: Path) -> None:
    classifier = load_classifier(model_folder("longformer"), LABELS, HeadSettings(type="linear"))
    assert classifier.head_names == ("classifier",)
    assert len(classifier.layers) == LAYERS


def test_a_trained_layer_keeps_dropout_that_the_encoders_forward_applies() -> None:
    """XLM's forward reads its own flag for all layers; with a frozen encoder it is off."""
    classifier = applied("xlm", "top_layers", layers=1)
    classifier.train_mode(frozen_dropout=False)
    assert classifier.encoder.training
    frozen = applied("xlm", "head_only")
    frozen.train_mode(frozen_dropout=False)
    assert not frozen.encoder.training


def test_a_mean_head_needs_an_encoder_alone() -> None:
    with pytest.raises(InputError, match=r"head\.type mean needs an encoder alone; .* Use head\.type own"):
        load_classifier(model_folder("t5"), LABELS, HeadSettings(type="mean"))


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_decoder_with_a_mean_head_reads_every_token_of_a_text_alone(kind: str) -> None:
    classifier = load_classifier(model_folder(kind), LABELS, HeadSettings(type="mean"))
    find("lora" if kind == "gpt2" else "head_only")().apply(classifier, torch.Generator().manual_seed(0))
    texts, protocol = examples(classifier, 12), Protocol(batch_size=4, max_tokens=32)
    settle_side(classifier, texts.tokens, protocol)
    found = predict(classifier, texts, protocol)
    for index in range(12):
        ids = torch.from_numpy(texts.tokens.ids[texts.tokens.offsets[index] : texts.tokens.offsets[index + 1]]).long()
        with torch.no_grad():
            hidden = classifier.encoder(input_ids=ids[None]).last_hidden_state
            logits = classifier.network.classifier(hidden.mean(dim=1))  # type: ignore[operator]
        assert np.abs(logits.numpy() - found[index]).max() < 1e-5
