"""ALBERT: layers that are one set of weights, and what that leaves of a cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import LAYERS, SHARED, model_folder

from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.save import save_classifier

RUNS = {"albert": LAYERS, "albert-groups": 8}
"""Four times a group of two layers, the first two times the first group."""
PROTOCOL = Protocol(max_tokens=32, batch_size=6)


def applied(kind: str, name: str, **settings: Any) -> Classifier:
    classifier = load_classifier(model_folder(kind), LABELS, seed=1)
    made: Any = find(name)(**settings)
    made.apply(classifier, torch.Generator().manual_seed(0))
    return classifier


@pytest.mark.parametrize("kind", SHARED)
def test_a_layer_counts_as_often_as_it_runs(kind: str) -> None:
    classifier = applied(kind, "head_only")
    ran: list[torch.nn.Module] = []
    for module in set(classifier.layers):
        module.register_forward_hook(lambda module, *_: ran.append(module))
    inputs = torch.tensor([[2, 5, 6, 3]])
    classifier.logits({"input_ids": inputs, "attention_mask": torch.ones_like(inputs)})
    assert list(classifier.layers) == ran
    assert len(ran) == RUNS[kind]
    assert len(set(ran)) == (1 if kind == "albert" else 4)


@pytest.mark.parametrize("kind", SHARED)
def test_the_cut_lies_below_the_first_run_of_the_lowest_trained_weights(kind: str) -> None:
    assert applied(kind, "full").cut is None
    assert applied(kind, "bitfit").cut is None
    assert applied(kind, "lora").cut == 0
    assert applied(kind, "head_only").cut == RUNS[kind]
    classifier = applied(kind, "head_only")
    classifier.layers[-1].requires_grad_(True)
    assert classifier.cut == (0 if kind == "albert" else 5)


def test_below_the_cut_is_what_does_not_run_again_above_it() -> None:
    classifier = applied("albert-groups", "head_only")
    encoder: Any = classifier.encoder
    first, second = (list(group.albert_layers) for group in encoder.encoder.albert_layer_groups)
    expected = {0: [], 2: [], 3: first[:1], 4: first, 7: [*first, second[0]], 8: [*first, *second]}
    for cut, layers in expected.items():
        found = classifier.family.below(encoder, cut)
        assert found == [encoder.embeddings, encoder.encoder.embedding_hidden_mapping_in, *layers]


@pytest.mark.parametrize("kind", SHARED)
@pytest.mark.parametrize(
    ("name", "settings"),
    [("top_layers", {"layers": 1}), ("lora", {"layers": "top 1"}), ("lora_fa", {"layers": "top 1"})],
)
def test_top_layers_of_one_set_of_weights_are_refused(kind: str, name: str, settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"is not known: .*one set of weights"):
        applied(kind, name, **settings)


@pytest.mark.parametrize("kind", SHARED)
def test_all_layers_run_once_where_only_the_head_is_trained(kind: str, tmp_path: Path) -> None:
    classifier = applied(kind, "head_only")
    data = examples(classifier, 20)
    expected = predict(classifier, data, replace(PROTOCOL, padding="longest"))
    cached = run_prefix(classifier, {"train": data}, PROTOCOL, PrefixCache(None))["train"]
    assert cached.prefix is not None
    assert cached.prefix.values.shape == (20, 32)
    assert all(p.is_meta for p in classifier.layers[0].parameters())
    np.testing.assert_allclose(predict(classifier, cached, PROTOCOL), expected, atol=2e-5)
    save_classifier(classifier, tmp_path / "model")
    again = load_classifier(tmp_path / "model", LABELS)
    np.testing.assert_allclose(predict(again, examples(again, 20), PROTOCOL), expected, atol=2e-5)


def test_half_of_the_layers_run_once_where_the_upper_group_is_trained() -> None:
    classifier = applied("albert-groups", "head_only")
    encoder: Any = classifier.encoder
    encoder.encoder.albert_layer_groups[1].requires_grad_(True)
    assert classifier.cut == 4
    data = examples(classifier, 20)
    expected = predict(classifier, data, replace(PROTOCOL, padding="longest"))
    cached = run_prefix(classifier, {"train": data}, PROTOCOL, PrefixCache(None))["train"]
    assert [p.is_meta for p in encoder.encoder.albert_layer_groups.parameters()].count(True) == 32
    np.testing.assert_allclose(predict(classifier, cached, PROTOCOL), expected, atol=2e-5)


@pytest.mark.parametrize("kind", SHARED)
def test_dropout_is_on_in_every_run_of_a_trained_layer(kind: str) -> None:
    classifier = applied(kind, "lora")
    classifier.train_mode(frozen_dropout=False)
    assert all(layer.training for layer in classifier.layers)
    assert not classifier.encoder.get_input_embeddings().training
