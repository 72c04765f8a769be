"""Contract of every method that is found: what it trains on every family, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, pairs
from tests.tiny_models import KINDS, LAYERS, SHARED, model_folder

from thriftune.errors import InputError
from thriftune.methods import discover, find
from thriftune.methods.base import Labelled, Method, TransformerMethod
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.settings import SettingsError
from thriftune.testing import Check, method_checks

EXAMPLES: dict[str, dict[str, Any]] = {"peft": {"type": "LOHA"}}


def made(name: str, **settings: Any) -> Method:
    method = find(name)
    return method(**method.prepare({**EXAMPLES.get(name, {}), **settings}))


def applied(name: str, kind: str = "bert", **settings: Any) -> Classifier:
    classifier = load_classifier(model_folder(kind), LABELS)
    method = made(name, **settings)
    assert isinstance(method, TransformerMethod)
    method.apply(classifier, torch.Generator().manual_seed(0))
    return classifier


REFUSED = {"bitfit": ("modernbert",), "top_layers": (SHARED[0],)}
CHECKS = [
    (name, check)
    for name in discover()
    for check in method_checks(made(name), (*KINDS, SHARED[0]), REFUSED.get(name, ()))
]


def test_every_method_has_every_check() -> None:
    for name, method in discover().items():
        own = [check for each, check in CHECKS if each == name]
        trains = issubclass(method, TransformerMethod)
        expected = 4 + 2 * (len(KINDS) + 1) - len(REFUSED.get(name, ())) if trains else 3 - method.NEEDS_MODEL
        assert len(own) == expected, name


@pytest.mark.parametrize(("name", "check"), CHECKS, ids=str)
def test_contract(name: str, check: Check) -> None:
    check()


@pytest.mark.parametrize("kind", KINDS)
def test_depth_of_each_method(kind: str) -> None:
    assert applied("full", kind).cut is None
    assert applied("top_layers", kind, layers=2).cut == LAYERS - 2
    assert applied("lora", kind).cut == 0
    assert applied("lora", kind, layers="top 1").cut == LAYERS - 1
    assert applied("head_only", kind).cut == LAYERS
    if kind == "modernbert":
        with pytest.raises(InputError, match="has none"):
            applied("bitfit", kind)
    else:
        assert applied("bitfit", kind).cut is None


@pytest.mark.parametrize("kind", KINDS)
def test_lora_adapts_query_and_value_alone(kind: str) -> None:
    classifier = applied("lora", kind, rank=2)
    adapted = {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, _ in classifier.trained() if "lora_" in name}
    assert adapted == set(classifier.family.lora_targets)


def test_lora_starts_as_the_pretrained_model_and_follows_the_generator() -> None:
    one, two = applied("lora"), applied("lora")
    state = dict(one.trained())
    assert all(torch.equal(p, state[name]) for name, p in two.trained())
    assert all((p == 0).all() for name, p in one.trained() if "lora_B" in name)


def test_lora_fa_trains_b_alone_beside_the_same_a() -> None:
    lora, frozen = applied("lora"), applied("lora_fa")
    before = {name: p for name, p in frozen.network.named_parameters() if "lora_A" in name}
    assert before
    assert not any(p.requires_grad for p in before.values())
    assert all(torch.equal(p, dict(lora.trained())[name]) for name, p in before.items())
    assert {name for name, _ in frozen.trained()} == {name for name, _ in lora.trained() if "lora_A" not in name}
    assert made("lora_fa", layers="top 2").label == "lora_fa r8 top 2"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("top_layers", {"layers": 9}, f"top 9 layers, .* has {LAYERS}"),
        ("lora", {"layers": "top 9"}, f"top 9 layers, .* has {LAYERS}"),
        ("lora", {"targets": ("quarry",)}, "no Linear module called quarry .* Known: .*query"),
        ("peft", {"type": "LORRA"}, 'PEFT type "LORRA" is not known; did you mean "LORA"'),
        ("peft", {"type": "LOHA", "rank": 3}, "LoHaConfig has no key rank. Known: .*alpha"),
    ],
)
def test_settings_that_do_not_fit_the_model(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        applied(name, **settings)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("top_layers", {"layers": 0}, "at least 1"),
        ("lora", {"layers": "bottom 2"}, 'give all, or top N, for example "top 2"'),
        ("lora", {"dropout": 1.0}, "below 1"),
        ("full", {"learning_rate": 0}, "above 0"),
        ("full", {"learning_rate": (1e-4, -1e-4)}, "above 0"),
    ],
)
def test_values_out_of_bounds(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        made(name, **settings)


def test_prompt_learning_takes_the_reference_path() -> None:
    classifier = applied("peft", type="PROMPT_TUNING", num_virtual_tokens=4)
    assert classifier.input_tuner
    assert classifier.cut is None


def test_majority_and_tfidf_know_what_they_should() -> None:
    first, second, labels = pairs(400)
    labels[:100] = 1
    majority = made("majority").fit(Labelled([first, second], labels), 3, 0)  # type: ignore[attr-defined]
    assert (majority.predict([first, second]).argmax(axis=1) == np.bincount(labels).argmax()).all()
    train, truth = pairs(400, seed=1), pairs(200, seed=2)
    tfidf = made("tfidf").fit(Labelled(list(train[:2]), train[2]), 3, 0)  # type: ignore[attr-defined]
    assert (tfidf.predict(list(truth[:2])).argmax(axis=1) == truth[2]).mean() > 0.8
