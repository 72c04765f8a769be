"""Frozen layers one at a time from the weight files: the same bits, and no other layer's weights in memory."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tests.engine.frozen.test_prefix import PROTOCOL, splits
from tests.tiny_data import LABELS
from tests.tiny_models import KINDS, SHARED, model_folder, save_tiny
from torch import nn

from thriftune.cost.measured.memory import peak_of
from thriftune.engine.examples import Examples
from thriftune.engine.frozen import passes, stages
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import FrozenLayers, run_prefix
from thriftune.engine.predict import predict
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.pretrained.load import load_classifier, skeleton
from thriftune.models.trained.save import save_classifier
from thriftune.models.weights import StoredWeights, absent, parameter_names

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "top_layers": ("top_layers", {"layers": 1}),
    "lora": ("lora", {"layers": "top 2"}),
    "head_only": ("head_only", {}),
}


def made(folder: Path, method: str, lazy: bool, head: str = "own") -> Classifier:
    name, settings = METHODS[method]

    def apply(classifier: Classifier) -> Classifier:
        find(name)(**settings).apply(classifier, torch.Generator().manual_seed(0))
        return classifier

    shapes = apply(skeleton(folder, LABELS, HeadSettings(type=head)))
    layers = shapes.cut if lazy else None
    return apply(load_classifier(folder, LABELS, HeadSettings(type=head), seed=3, without=layers))


def below(classifier: Classifier) -> list[nn.Module]:
    return classifier.family.below(classifier.encoder, classifier.cut)


def with_prefixes(classifier: Classifier, folder: Path | None) -> dict[str, Examples]:
    return run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(folder), peak_of=peak_of)


CASES = [*((kind, method) for kind in KINDS for method in METHODS), *((kind, "head_only") for kind in SHARED)]


@pytest.mark.parametrize(("kind", "method"), CASES)
@pytest.mark.parametrize("streamed", [True, False])
def test_the_same_bits_as_a_whole_model(
    kind: str, method: str, streamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(stages, "STREAMED_BYTES", 0)
    folder = model_folder(kind)
    whole, lazy = made(folder, method, lazy=False), made(folder, method, lazy=True)
    assert all(absent(module) for module in below(lazy))
    named = dict(whole.network.named_parameters())
    for name, parameter in lazy.network.named_parameters():
        assert parameter.is_meta or torch.equal(parameter, named[name]), name
        assert parameter.requires_grad == named[name].requires_grad
    assert lazy.counts() == whole.counts()
    expected, found = with_prefixes(whole, tmp_path / "whole"), with_prefixes(lazy, tmp_path / "lazy")
    for split in expected:
        np.testing.assert_array_equal(found[split].prefix.values, expected[split].prefix.values)
        assert not found[split].prefix.reused
        np.testing.assert_array_equal(
            predict(lazy, found[split], PROTOCOL), predict(whole, expected[split], PROTOCOL), strict=True
        )
    assert all(absent(module) for module in below(lazy))
    assert not list((tmp_path / "lazy").glob("*.tmp"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streamed", [True, False])
def test_a_deeper_cut_goes_on_from_a_shallower_one(
    kind: str, streamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values and cost are those of a cut from nothing; the layers below run once."""
    if streamed:
        monkeypatch.setattr(stages, "STREAMED_BYTES", 0)
    folder = model_folder(kind)
    shallow = with_prefixes(made(folder, "lora", lazy=True), tmp_path / "warm")["train"].prefix
    expected = with_prefixes(made(folder, "head_only", lazy=True), tmp_path / "cold")["train"].prefix
    bottoms: list[int | None] = []
    run = passes._Pass._hidden
    watched = lambda each, stage, *rest: bottoms.append(stage.bottom) or run(each, stage, *rest)
    monkeypatch.setattr(passes._Pass, "_hidden", watched)
    deep = made(folder, "head_only", lazy=True)
    found = run_prefix(deep, splits(deep), PROTOCOL, PrefixCache(tmp_path / "warm"))
    prefix = found["train"].prefix
    assert min(bottom for bottom in bottoms if bottom is not None) == shallow.layer
    assert None not in bottoms
    np.testing.assert_array_equal(prefix.values, expected.values)
    assert prefix.seconds > shallow.seconds
    assert prefix.layer == expected.layer > shallow.layer


@pytest.mark.parametrize("streamed", [True, False])
def test_what_a_cut_costs_does_not_depend_on_a_shallower_one(
    streamed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(stages, "STREAMED_BYTES", 0)
    folder = model_folder("bert")
    with_prefixes(made(folder, "lora", lazy=True), tmp_path / "warm")
    peaks = [
        with_prefixes(made(folder, "head_only", lazy=True), tmp_path / name)["train"].prefix.peak_memory_bytes
        for name in ("warm", "cold")
    ]
    assert peaks[0] == peaks[1]


@pytest.mark.parametrize("kind", KINDS)
def test_never_more_than_the_embeddings_or_one_layer_in_memory(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STREAMED_BYTES", 0)
    classifier = made(model_folder(kind), "head_only", lazy=True)
    alive: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()
    peaks: list[int] = []
    read = StoredWeights.read

    def watched(self: StoredWeights, network: nn.Module, names: Iterable[str], device: torch.device) -> None:
        names = list(names)
        read(self, network, names, device)
        for name in names:
            alive.add(network.get_parameter(name).untyped_storage())
        peaks.append(sum(storage.nbytes() for storage in alive))

    monkeypatch.setattr(StoredWeights, "read", watched)
    with_prefixes(classifier, None)
    family, encoder = classifier.family, classifier.encoder
    sizes = [
        sum(p.numel() * 4 for module in family.below(encoder, layer) for p in module.parameters())
        for layer in range(len(classifier.layers) + 1)
    ]
    single = [sizes[0], *np.diff(sizes)]
    assert peaks[: len(single)] == single
    assert max(peaks) < sizes[-1]
    assert not alive, "the last layer is gone as well"


def test_streaming_needs_less_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    peaks = {}
    for limit in (0, 10**12):
        monkeypatch.setattr(stages, "STREAMED_BYTES", limit)
        classifier = made(model_folder("bert"), "head_only", lazy=True)
        prefix = with_prefixes(classifier, None)["train"].prefix
        assert prefix is not None
        peaks[limit] = prefix.peak_memory_bytes
    layer = sum(p.numel() * 4 for p in skeleton(model_folder("bert"), LABELS).layers[0].parameters())
    assert peaks[0] <= peaks[10**12] - 2 * layer


def test_what_is_in_the_cache_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_prefixes(made(model_folder("bert"), "top_layers", lazy=True), tmp_path)
    classifier = made(model_folder("bert"), "top_layers", lazy=True)
    monkeypatch.setattr(StoredWeights, "read", lambda *_: pytest.fail("weights below the cut are read"))
    assert with_prefixes(classifier, tmp_path)["train"].prefix.reused


def test_without_room_for_the_prefix_the_weights_come_back() -> None:
    classifier, whole = (made(model_folder("bert"), "lora", lazy=lazy) for lazy in (True, False))
    data = splits(classifier)
    assert run_prefix(classifier, data, PROTOCOL, PrefixCache(None, limit_bytes=10))["train"] is data["train"]
    assert not any(absent(module) for module in below(classifier))
    np.testing.assert_array_equal(
        predict(classifier, data["validation"], PROTOCOL), predict(whole, data["validation"], PROTOCOL)
    )
    assert FrozenLayers(data, PROTOCOL, PrefixCache(None, limit_bytes=10)).plan(whole) == 0
    assert FrozenLayers(data, PROTOCOL, PrefixCache(None)).plan(whole) == 1


@pytest.mark.parametrize("method", METHODS)
def test_it_is_saved_whole(method: str, tmp_path: Path) -> None:
    for lazy in (True, False):
        classifier = made(model_folder("bert"), method, lazy=lazy)
        with_prefixes(classifier, None)
        save_classifier(classifier, tmp_path / str(lazy))
    for path in (tmp_path / "False").iterdir():
        assert (tmp_path / "True" / path.name).read_bytes() == path.read_bytes(), path.name


def rewritten(folder: Path, kind: str, change: Any) -> Path:
    """A tiny model whose weight file is written again by `change(tensors)`."""
    save_tiny(kind, folder)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    change(tensors)
    return folder


def sharded(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    names = sorted(tensors)
    parts = {f"model-0000{i + 1}-of-00003.safetensors": names[i::3] for i in range(3)}
    for file, own in parts.items():
        save_file({name: tensors[name] for name in own}, folder / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


def old_names(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    """As published in 2018: with the model's prefix, and LayerNorm's parameters called gamma and beta."""
    new = {
        "bert." + name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for name, value in tensors.items()
    }
    save_file(new, folder / "model.safetensors", {"format": "pt"})


def half(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file({n: t.half() for n, t in tensors.items()}, folder / "model.safetensors", {"format": "pt"})


@pytest.mark.parametrize("change", [sharded, old_names, half])
def test_checkpoints_of_other_shapes(change: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STREAMED_BYTES", 0)
    folder = rewritten(tmp_path / "model", "bert", lambda tensors: change(tmp_path / "model", tensors))
    whole, lazy = made(folder, "top_layers", lazy=False), made(folder, "top_layers", lazy=True)
    assert lazy.stored is not None
    expected, found = with_prefixes(whole, None), with_prefixes(lazy, None)
    np.testing.assert_array_equal(found["train"].prefix.values, expected["train"].prefix.values)


def test_a_trained_checkpoint_with_another_head(tmp_path: Path) -> None:
    """Its classifier has two classes: drawn anew, as in an ordinary load."""
    save_classifier(load_classifier(model_folder("bert"), ("a", "b")), tmp_path)
    whole, lazy = made(tmp_path, "head_only", lazy=False), made(tmp_path, "head_only", lazy=True)
    assert lazy.stored is not None
    assert torch.equal(whole.network.classifier.weight, lazy.network.classifier.weight)
    assert torch.equal(whole.encoder.pooler.dense.weight, lazy.encoder.pooler.dense.weight)


def test_other_weight_files_are_loaded_whole(tmp_path: Path) -> None:
    def as_bin(tensors: dict[str, torch.Tensor]) -> None:
        torch.save(tensors, tmp_path / "model" / "pytorch_model.bin")

    classifier = made(rewritten(tmp_path / "model", "bert", as_bin), "top_layers", lazy=True)
    assert classifier.stored is None
    assert not any(absent(module) for module in classifier.network.modules())
    assert with_prefixes(classifier, None)["train"].prefix is not None


def test_weights_that_a_part_above_shares_are_loaded_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import BertForSequenceClassification

    before = BertForSequenceClassification.from_pretrained

    def tied(*args: Any, **options: Any) -> Any:
        network, info = before(*args, **options)
        layers = network.bert.encoder.layer
        layers[2].output.dense.weight = layers[0].output.dense.weight
        return network, info

    monkeypatch.setattr(BertForSequenceClassification, "from_pretrained", tied)
    from thriftune.models.pretrained.checkpoint import read_checkpoint
    from thriftune.models.pretrained.placeholders import Placeholders

    placeholders = Placeholders(read_checkpoint(model_folder("bert")).tensors)
    config = skeleton(model_folder("bert"), LABELS).config
    network, _ = placeholders.network(BertForSequenceClassification, config, {})
    classifier = skeleton(model_folder("bert"), LABELS)
    classifier.network, classifier.encoder = network, network.bert
    assert placeholders.fill(network, classifier.family.below(network.bert, 1)) is None


def test_names_of_parameters_lead_back_to_them() -> None:
    classifier = load_classifier(model_folder("deberta-v2"), LABELS)
    modules = classifier.family.below(classifier.encoder, 1)
    names = parameter_names(classifier.network, modules)
    assert {id(classifier.network.get_parameter(name)) for name in names} == {
        id(p) for module in modules for p in module.parameters()
    }
    with safe_open(model_folder("deberta-v2") / "model.safetensors", framework="pt") as stored:
        assert len(names) < len(stored.keys())
