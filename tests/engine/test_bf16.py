"""`precision: bf16` on a CPU: rows between layers in bfloat16, for every family that packs; what runs instead."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.engine.test_packed import CASES, METHODS, PACKED, made
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder

from thriftune.cost.predicted.estimate import Case, estimate
from thriftune.engine.examples import NARROW
from thriftune.engine.forward import autocast, logits_of, row_dtype
from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.frozen.prefix import prefix_file
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol, ran, settled
from thriftune.engine.step import text_losses
from thriftune.engine.stored.load import load_transformer
from thriftune.engine.train import Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.head import HeadSettings
from thriftune.models.ops import kernels
from thriftune.models.ops.kernels.build import build
from thriftune.models.pretrained.load import load_classifier
from thriftune.models.residence import round_frozen
from thriftune.models.trained.save import save_classifier

needs_kernels = pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")
BF16 = replace(PACKED, precision="bf16")


@pytest.fixture
def unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor that multiplies bfloat16; elsewhere torch's products stand in."""
    monkeypatch.setattr(kernels, "has_narrow", lambda: True)
    monkeypatch.setattr(kernels, "multiplies_narrow", lambda: True)


@needs_kernels
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize(("kind", "method"), CASES)
def test_logits_and_gradients_are_near_those_of_float32(kind: str, method: str) -> None:
    found = {}
    for protocol in (PACKED, BF16):
        classifier = made(kind, method, torch.float32)
        data = examples(classifier, 12)
        data = run_prefix(classifier, {"train": data}, protocol, PrefixCache(None))["train"]
        classifier.train_mode(False)
        indices = np.arange(6)
        logits = logits_of(classifier, data, indices, protocol)
        assert logits.dtype == torch.float32
        text_losses(logits, torch.from_numpy(data.labels[indices])).sum().backward()
        gradients = torch.cat([p.grad.flatten() for _, p in classifier.trained() if p.grad is not None])
        assert gradients.dtype == torch.float32
        found[protocol.precision] = logits.detach(), gradients, predict(classifier, data, protocol)
        expected = torch.bfloat16 if protocol is BF16 else None
        assert row_dtype(classifier, protocol) == expected
    (logits, gradients, predicted), (near, similar, also) = found["fp32"], found["bf16"]
    assert not torch.equal(logits, near)
    torch.testing.assert_close(near, logits, atol=0.06, rtol=0.02)
    np.testing.assert_allclose(also, predicted, atol=0.06, rtol=0.02)
    assert np.abs(also - predicted).mean() < 0.015
    assert torch.nn.functional.cosine_similarity(similar, gradients, dim=0) > 0.99


@needs_kernels
@pytest.mark.usefixtures("unit")
def test_outputs_of_frozen_layers_are_half_as_large_and_files_of_their_own(tmp_path: Path) -> None:
    classifier = made("bert", "top_layers", torch.float32)
    data = {"train": examples(classifier, 12)}
    whole = run_prefix(classifier, data, PACKED, PrefixCache(tmp_path))["train"].prefix
    classifier = made("bert", "top_layers", torch.float32)
    narrow = run_prefix(classifier, data, BF16, PrefixCache(tmp_path))["train"].prefix
    assert whole is not None
    assert narrow is not None
    assert narrow.values.dtype == NARROW
    assert narrow.values.nbytes * 2 == whole.values.nbytes
    assert narrow.read(np.arange(2), classifier.device, torch.bfloat16).dtype == torch.bfloat16
    tokens = data["train"].tokens
    assert len({prefix_file(classifier, tokens, kind) for kind in ("fp32", "bf16", "narrow")}) == 3
    again = run_prefix(made("bert", "top_layers", torch.float32), data, BF16, PrefixCache(tmp_path))["train"].prefix
    assert again is not None
    assert again.reused
    assert np.array_equal(again.values, narrow.values)


@needs_kernels
@pytest.mark.usefixtures("unit")
def test_estimates_know_that_activations_are_half_as_large() -> None:
    case = Case(model_folder("bert"), find("full")(), replace(PACKED, epochs=1), lengths=(40,) * 8, classes=3)
    whole = estimate(case).memory
    narrow = estimate(replace(case, protocol=replace(BF16, epochs=1))).memory
    assert narrow.activations < 0.6 * whole.activations
    assert narrow.weights == whole.weights, "nothing is frozen"
    assert narrow.optimizer == whole.optimizer
    adapted = replace(case, method=find("lora")())
    whole, narrow = (
        estimate(replace(adapted, protocol=each)).memory for each in (case.protocol, replace(BF16, epochs=1))
    )
    assert narrow.weights < whole.weights, "frozen matrices are kept rounded"


def test_auto_is_bf16_where_it_is_multiplied_and_float32_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    auto = Protocol(precision="auto")
    with pytest.raises(ValueError, match="not settled"):
        ran(auto)
    for has in (True, False):
        monkeypatch.setattr(kernels, "has_narrow", lambda has=has: has)
        protocol, note = settled(auto, "cpu")
        assert (ran(protocol), note) == ("bf16" if has else "fp32", None)
        assert ran(settled(auto, "cuda")[0]) == "fp32"


def test_without_the_unit_float32_runs_and_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "multiplies_narrow", lambda: False)
    monkeypatch.setattr(kernels, "has_narrow", lambda: False)
    protocol, note = settled(BF16, "cpu")
    assert protocol.precision == "fp32"
    assert note is not None
    assert "no unit" in note
    assert settled(BF16, "cuda") == (BF16, None)
    assert settled(PACKED, "cpu") == (PACKED, None)
    classifier = made("bert", "full", torch.float32)
    assert row_dtype(classifier, BF16) is None
    assert not autocast(classifier, BF16)._enabled, "40 times slower there"


@needs_kernels
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize(
    ("kind", "method"), [("bert", "lora"), ("deberta-v3", "lora"), ("bert", "bitfit"), ("albert", "lora")]
)
def test_frozen_matrices_are_kept_rounded_which_changes_no_number(kind: str, method: str) -> None:
    classifier = made(kind, method, torch.float32)
    data = examples(classifier, 12)
    before, size = predict(classifier, data, BF16), _bytes(classifier)
    round_frozen(classifier)
    assert _bytes(classifier) < size
    assert all(p.dtype == torch.float32 for _, p in classifier.trained())
    again = predict(classifier, data, BF16)
    np.testing.assert_array_equal(again, before)


def _bytes(classifier: Classifier) -> int:
    return sum(p.numel() * p.element_size() for p in classifier.root.parameters())


@needs_kernels
@pytest.mark.usefixtures("unit")
@pytest.mark.parametrize("method", ["lora", "top_layers", "full", "bitfit"])
def test_what_is_stored_has_the_pretrained_weights_as_they_are(method: str, tmp_path: Path) -> None:
    name, settings = METHODS[method]
    classifier = load_classifier(model_folder("bert"), LABELS, HeadSettings(), seed=1)
    find(name)(**settings).apply(classifier, torch.Generator().manual_seed(2))
    pretrained = load_classifier(model_folder("bert"), LABELS, HeadSettings(), seed=1).network.state_dict()
    protocol = replace(BF16, epochs=1)
    data = examples(classifier, 12)
    cut = run_prefix(classifier, {"train": data}, protocol, PrefixCache(None))["train"]
    fit(Task(classifier, cut, None, protocol, 1e-3, 0, tmp_path / "best"))
    predicted = predict(classifier, cut, protocol)
    save_classifier(classifier, tmp_path / "model")
    stored = load_transformer(tmp_path / "model", "cpu", base=model_folder("bert"))
    found = stored.network.network.state_dict()
    frozen = {n for n, p in classifier.network.named_parameters() if not p.requires_grad and n in found}
    assert all(torch.equal(found[n], pretrained[n]) for n in frozen if n in pretrained)
    assert all(t.dtype == torch.float32 for t in found.values() if t.is_floating_point())
    np.testing.assert_allclose(predict(stored.network, data, protocol), predicted, atol=0.06)
