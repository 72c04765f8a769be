"""The prefix: the same bits however it comes, never a damaged file, weights gone and back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, model_folder

from thriftune.engine.examples import Examples
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import has_constant_prefix, run_prefix
from thriftune.engine.frozen.prefix import prefix_bytes
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.trained.save import save_classifier

PROTOCOL = Protocol(epochs=2, batch_size=8, max_tokens=48)


def made(kind: str = "bert", method: str = "top_layers", **settings: object) -> Classifier:
    classifier = load_classifier(model_folder(kind), LABELS)
    find(method)(**settings).apply(classifier, torch.Generator().manual_seed(0))
    return classifier


def splits(classifier: Classifier) -> dict[str, Examples]:
    return {
        "train": examples(classifier, 60, max_tokens=48),
        "validation": examples(classifier, 20, seed=1, max_tokens=48),
    }


def trained(cache: PrefixCache, folder: Path) -> tuple[list[float], np.ndarray, dict[str, Examples]]:
    classifier = made()
    data = run_prefix(classifier, splits(classifier), PROTOCOL, cache)
    task = Task(classifier, data["train"], data["validation"], PROTOCOL, 1e-3, 0, folder / "best")
    losses = [point.loss for point in fit(task).steps]
    return losses, predict(classifier, data["validation"], PROTOCOL), data


def test_cold_warm_and_in_memory_give_the_same_bits(tmp_path: Path) -> None:
    cold = trained(PrefixCache(tmp_path / "cache"), tmp_path)
    warm = trained(PrefixCache(tmp_path / "cache"), tmp_path)
    memory = trained(PrefixCache(None), tmp_path)
    for other in (warm, memory):
        assert other[0] == cold[0]
        np.testing.assert_array_equal(other[1], cold[1])
    found = [run[2]["train"].prefix for run in (cold, warm, memory)]
    assert [(p.reused, p.mapped) for p in found if p] == [(False, True), (True, True), (False, False)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].seconds == found[1].seconds, "a warm cache charges what it once cost"


@pytest.mark.parametrize("harm", ["cut", "altered", "no note", "empty"])
def test_a_damaged_file_is_rebuilt(tmp_path: Path, harm: str) -> None:
    sound = trained(PrefixCache(tmp_path / "cache"), tmp_path)
    for path in (tmp_path / "cache").glob("*.npy"):
        content = bytearray(path.read_bytes())
        if harm == "cut":
            path.write_bytes(content[:-100])
        elif harm == "altered":
            content[-50] ^= 1
            path.write_bytes(content)
        elif harm == "empty":
            path.write_bytes(b"")
        else:
            path.with_suffix(".json").unlink()
    again = trained(PrefixCache(tmp_path / "cache"), tmp_path)
    assert again[0] == sound[0]
    assert again[2]["train"].prefix is not None
    assert not again[2]["train"].prefix.reused
    third = trained(PrefixCache(tmp_path / "cache"), tmp_path)
    assert third[2]["train"].prefix is not None
    assert third[2]["train"].prefix.reused


def test_methods_and_seeds_with_the_same_cut_share_it_and_others_do_not(tmp_path: Path) -> None:
    def reused(method: str, **settings: object) -> bool:
        classifier = made("bert", method, **settings)
        prefix = run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(tmp_path))["train"].prefix
        assert prefix is not None
        return prefix.reused

    assert not reused("top_layers", layers=1)
    assert reused("lora", layers="top 1")
    assert reused("top_layers", layers=1, learning_rate=0.5)
    assert not reused("top_layers", layers=2)
    assert not reused("head_only")


@pytest.mark.parametrize(
    ("method", "settings", "protocol"),
    [
        ("full", {}, PROTOCOL),
        ("lora", {}, PROTOCOL),
        ("top_layers", {"layers": 1}, replace(PROTOCOL, frozen_dropout="on")),
        ("top_layers", {"layers": 1}, replace(PROTOCOL, padding="longest")),
    ],
)
def test_where_nothing_is_constant_there_is_no_prefix(method: str, settings: dict, protocol: Protocol) -> None:
    classifier = made("bert", method, **settings)
    data = splits(classifier)
    assert not has_constant_prefix(classifier, protocol)
    assert run_prefix(classifier, data, protocol, PrefixCache(None)) == data


def test_further_examples_go_to_memory_where_the_cache_is_too_small_for_them(tmp_path: Path) -> None:
    classifier = made()
    data, further = splits(classifier), {"hard": examples(classifier, 30, seed=5)}
    needed = sum(prefix_bytes(classifier, part.tokens) for part in data.values())
    whole = run_prefix(classifier, data, PROTOCOL, PrefixCache(tmp_path / "a"), further=further)
    tight = run_prefix(made(), data, PROTOCOL, PrefixCache(tmp_path / "b", limit_bytes=needed + 1), further=further)
    assert {name: part.prefix.mapped for name, part in whole.items() if part.prefix} == dict.fromkeys(whole, True)
    assert {name: part.prefix.mapped for name, part in tight.items() if part.prefix} == {
        name: name != "hard" for name in whole
    }
    for name, part in whole.items():
        other = tight[name].prefix
        assert part.prefix is not None
        assert other is not None
        np.testing.assert_array_equal(part.prefix.values, other.values)


def test_a_cache_that_is_too_small_is_done_without(tmp_path: Path) -> None:
    classifier = made()
    data = splits(classifier)
    assert run_prefix(classifier, data, PROTOCOL, PrefixCache(tmp_path, limit_bytes=100)) == data
    assert not list(tmp_path.glob("*.npy"))


def test_the_cache_forgets_what_was_unused_for_longest(tmp_path: Path) -> None:
    import os

    for index in range(3):
        path = tmp_path / f"{index}.npy"
        path.write_bytes(b"x" * 100)
        path.with_suffix(".json").write_text("{}")
        os.utime(path, (index, index))
    assert PrefixCache(tmp_path, limit_bytes=320).make_room(120)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1.json", "1.npy", "2.json", "2.npy"]


@pytest.mark.parametrize("kind", KINDS)
def test_weights_below_the_cut_leave_memory_and_come_back_when_saved(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    classifier = made(kind, "top_layers", layers=1)
    counts = classifier.counts()
    data = run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(None))
    assert classifier.encoder.get_input_embeddings().weight.device.type == "meta"
    assert {p.device.type for p in classifier.layers[0].parameters()} == {"meta"}
    assert classifier.counts() == counts
    task = Task(classifier, data["train"], None, PROTOCOL, 1e-2, 0, tmp_path / "best")
    fit(task)
    save_classifier(classifier, tmp_path / "model")
    whole = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    assert all(p.device.type == "cpu" for p in whole.parameters())
    again = load_classifier(tmp_path / "model", LABELS)
    expected = predict(classifier, data["validation"], PROTOCOL)
    found = predict(again, examples(again, 20, seed=1, max_tokens=48), replace(PROTOCOL, padding="longest"))
    np.testing.assert_allclose(found, expected, atol=2e-5)
