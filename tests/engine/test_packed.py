"""The packed engine against the reference path: same losses, same gradients, whatever is switched on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.engine.reference import without_dropout
from tests.tiny_data import LABELS, examples
from tests.tiny_models import KINDS, RELATIVES, SHARED, model_folder

from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples
from thriftune.engine.forward import logits_of
from thriftune.engine.frozen.prefix import prefix_of
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.ops import kernels
from thriftune.models.ops import rows as rows_module
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.residence import release

METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "full": ("full", {}),
    "top_layers": ("top_layers", {"layers": 1}),
    "lora": ("lora", {}),
    "lora top": ("lora", {"layers": "top 2"}),
    "lora_fa": ("lora_fa", {}),
    "head_only": ("head_only", {}),
    "bitfit": ("bitfit", {}),
}
CASES = [
    *((kind, method) for kind in KINDS for method in METHODS if (kind, method) != ("modernbert", "bitfit")),
    *zip(RELATIVES, ("full", "lora top"), strict=True),
    *((SHARED[0], method) for method in ("full", "lora", "head_only", "bitfit")),
    (SHARED[1], "full"),
]
PACKED = Protocol(max_tokens=48, batch_size=6)
REFERENCE = replace(PACKED, padding="longest")
STEPS = 50


def made(kind: str, method: str, dtype: torch.dtype, head: str = "own", **more: Any) -> Classifier:
    """A classifier without dropout, LoRA's B non-zero."""
    name, settings = METHODS[method]
    classifier = load_classifier(model_folder(kind), LABELS, HeadSettings(type=head), seed=1)
    find(name)(**{**settings, **more}).apply(classifier, torch.Generator().manual_seed(2))
    with torch.no_grad():
        for parameter_name, parameter in classifier.trained():
            if "lora_B" in parameter_name:
                parameter.normal_(0, 0.05, generator=torch.Generator().manual_seed(3))
    classifier.network.to(dtype)
    without_dropout(classifier.network)
    classifier.train_mode(False)
    return classifier


def with_prefix(classifier: Classifier, data: Examples, folder: Path | None = None) -> Examples:
    """The data with the frozen layers' output, the weights below the cut released."""
    if not classifier.cut:
        return data
    prefix = prefix_of(classifier, data.tokens, folder)
    release(classifier)
    classifier.train_mode(False)
    return replace(data, prefix=prefix)


def losses_and_gradients(
    classifier: Classifier, data: Examples, protocol: Protocol, steps: int, rate: float
) -> tuple[list[float], list[torch.Tensor]]:
    """Losses of plain SGD steps, and the gradients of all of them summed up, by parameter."""
    labels = torch.from_numpy(data.labels)
    losses, sums = [], [torch.zeros_like(p) for _, p in classifier.trained()]
    batches = [b for epoch in range(20) for b in training_batches(len(data), 6, 0, epoch)][:steps]
    for indices in batches:
        loss = torch.nn.functional.cross_entropy(logits_of(classifier, data, indices, protocol), labels[indices])
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for total, (_, parameter) in zip(sums, classifier.trained(), strict=True):
                if parameter.grad is not None:
                    total.add_(parameter.grad)
                    parameter.sub_(parameter.grad, alpha=rate)
                parameter.grad = None
    return losses, sums


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_float64_losses_and_gradients_agree_to_1e_8(kind: str, method: str) -> None:
    reference = made(kind, method, torch.float64)
    data = examples(reference, 40, max_tokens=48)
    expected = losses_and_gradients(reference, data, REFERENCE, STEPS, 0.01)
    packed = made(kind, method, torch.float64)
    found = losses_and_gradients(packed, with_prefix(packed, data), PACKED, STEPS, 0.01)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-8)
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)
    assert np.ptp(expected[0]) > 1e-3


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_float32_is_close_and_predictions_are_equal(kind: str, method: str) -> None:
    reference, packed = made(kind, method, torch.float32), made(kind, method, torch.float32)
    data = examples(reference, 40, max_tokens=48)
    cached = with_prefix(packed, data)
    expected = losses_and_gradients(reference, data, REFERENCE, 1, 0.0)
    found = losses_and_gradients(packed, cached, PACKED, 1, 0.0)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-4)
    norm = torch.stack([g.norm() for g in expected[1]]).norm()
    for mine, theirs in zip(found[1], expected[1], strict=True):
        assert (mine - theirs).norm() <= 1e-4 * norm
    theirs, ours = predict(reference, data, REFERENCE), predict(packed, cached, PACKED)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    ties = np.sort(theirs, axis=1)[:, -1] - np.sort(theirs, axis=1)[:, -2] < 1e-4
    assert ((ours.argmax(1) == theirs.argmax(1)) | ties).all()


@pytest.mark.parametrize("head", ["linear", "mean"])
@pytest.mark.parametrize("method", ["top_layers", "head_only", "full"])
@pytest.mark.parametrize("kind", [*KINDS, *RELATIVES, *SHARED])
def test_heads_on_the_bare_encoder_too(kind: str, method: str, head: str) -> None:
    if kind in SHARED and method == "top_layers":
        pytest.skip("its layers share their weights: none lies above another")
    reference = made(kind, method, torch.float64, head=head)
    data = examples(reference, 20, max_tokens=48)
    expected = losses_and_gradients(reference, data, REFERENCE, 6, 0.01)
    packed = made(kind, method, torch.float64, head=head)
    found = losses_and_gradients(packed, with_prefix(packed, data), PACKED, 6, 0.01)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("per_group", [1, 3, 100])
def test_the_size_of_attention_groups_changes_nothing(
    kind: str, per_group: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier = made(kind, "full", torch.float64)
    data = examples(classifier, 12, max_tokens=48)
    expected = losses_and_gradients(classifier, data, REFERENCE, 2, 0.0)
    monkeypatch.setattr("thriftune.engine.batches.TEXTS_PER_GROUP", per_group)
    assert rows_module.TEXTS_PER_GROUP
    found = losses_and_gradients(classifier, data, PACKED, 2, 0.0)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-8)
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize(
    ("kind", "compiled"), [*((kind, True) for kind in (*KINDS, *RELATIVES, *SHARED)), ("mpnet", False)]
)
def test_texts_of_one_token_and_texts_that_were_cut(kind: str, compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(kernels, "usable", lambda *_: False)
    classifier = made(kind, "full", torch.float64)
    tokens = examples(classifier, 6, max_tokens=9).tokens
    assert 9 in tokens.lengths
    single = np.array([tokens.ids[0]] * 2)
    offsets = np.concatenate([[0, 1], tokens.offsets[1:] + 1, [len(tokens.ids) + 2]])
    ids = np.concatenate([single[:1], tokens.ids, single[1:]])
    types = None if tokens.types is None else np.concatenate([[0], tokens.types, [0]]).astype(tokens.types.dtype)
    data = Examples(replace(tokens, ids=ids, types=types, offsets=offsets), np.arange(8) % len(LABELS))
    assert list(data.tokens.lengths[[0, -1]]) == [1, 1]
    expected = losses_and_gradients(classifier, data, REFERENCE, 2, 0.0)
    found = losses_and_gradients(classifier, data, PACKED, 2, 0.0)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-8)
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "modernbert"])
def test_without_the_prefix_the_frozen_layers_run_each_time(kind: str) -> None:
    classifier = made(kind, "lora top", torch.float64)
    data = examples(classifier, 12, max_tokens=48)
    without = losses_and_gradients(classifier, data, PACKED, 2, 0.0)
    cached = losses_and_gradients(classifier, with_prefix(classifier, data), PACKED, 2, 0.0)
    np.testing.assert_allclose(cached[0], without[0], rtol=0, atol=1e-12)
