"""Batches rounded up to few shapes and put together on the device: the same losses and gradients."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.engine.test_packed import CASES, PACKED, losses_and_gradients, made, with_prefix
from tests.tiny_data import examples
from tests.tiny_models import KINDS
from transformers.models.deberta_v2.modeling_deberta_v2 import make_log_bucket_position

from thriftune.engine.batches import training_batches
from thriftune.engine.examples import Examples, Prefix
from thriftune.engine.forward import logits_of_rows
from thriftune.engine.gpu.buckets import DeviceTexts, Feed, bucket_of
from thriftune.models.classifier import Classifier
from thriftune.models.device import pretend
from thriftune.models.families.deberta_v2 import log_buckets

STEPS = 8
"""The second epoch's last batch, of 2 texts, among them."""


def bucketed(
    classifier: Classifier, data: Examples, gpu_code: bool, prefix_bytes: int = 0
) -> tuple[list[float], list[torch.Tensor]]:
    """As `losses_and_gradients` does it, with batches in buckets; attention as on a GPU, if `gpu_code`."""
    texts = DeviceTexts(data, torch.device("cpu"), 6, prefix_bytes)
    labels = torch.from_numpy(data.labels)
    losses, sums = [], [torch.zeros_like(p) for _, p in classifier.trained()]
    batches = [b for epoch in range(20) for b in training_batches(len(data), 6, 0, epoch)][:STEPS]
    with pretend("cuda") if gpu_code else nullcontext():
        for indices in batches:
            batch = texts.batch(texts.load(indices, torch.from_numpy(indices)))
            logits = logits_of_rows(classifier, data, batch.rows, batch.hidden, PACKED)[: len(indices)]
            loss = torch.nn.functional.cross_entropy(logits, labels[indices])
            loss.backward()
            losses.append(loss.item())
            with torch.no_grad():
                for total, (_, parameter) in zip(sums, classifier.trained(), strict=True):
                    assert parameter.grad is not None
                    total.add_(parameter.grad)
                    parameter.sub_(parameter.grad, alpha=0.01)
                    parameter.grad = None
    return losses, sums


def assert_same(
    found: tuple[list[float], list[torch.Tensor]], expected: tuple[list[float], list[torch.Tensor]]
) -> None:
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-8)
    for mine, theirs in zip(found[1], expected[1], strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_losses_and_gradients_are_those_of_batches_as_they_are(kind: str, method: str) -> None:
    plain = made(kind, method, torch.float64)
    data = examples(plain, 20, max_tokens=48)
    expected = losses_and_gradients(plain, with_prefix(plain, data), PACKED, STEPS, 0.01)
    rounded = made(kind, method, torch.float64)
    assert_same(bucketed(rounded, with_prefix(rounded, data), gpu_code=True), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_the_cpu_code_takes_them_too(kind: str) -> None:
    plain, rounded = made(kind, "full", torch.float64), made(kind, "full", torch.float64)
    data = examples(plain, 20, max_tokens=48)
    assert_same(bucketed(rounded, data, gpu_code=False), losses_and_gradients(plain, data, PACKED, STEPS, 0.01))


@pytest.mark.parametrize("method", ["top_layers", "head_only"])
@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_prefix_on_the_device_gives_the_same(kind: str, method: str) -> None:
    results = []
    for size in (0, 1 << 30):
        classifier = made(kind, method, torch.float64)
        data = with_prefix(classifier, examples(classifier, 20, max_tokens=48))
        results.append(bucketed(classifier, data, gpu_code=True, prefix_bytes=size))
    assert_same(*results)


@pytest.mark.parametrize("head", ["linear", "mean"])
@pytest.mark.parametrize("kind", ["bert", "deberta-v2", "modernbert"])
def test_heads_on_the_bare_encoder_too(kind: str, head: str) -> None:
    plain, rounded = (made(kind, "top_layers", torch.float64, head=head) for _ in range(2))
    data = examples(plain, 20, max_tokens=48)
    expected = losses_and_gradients(plain, with_prefix(plain, data), PACKED, STEPS, 0.01)
    assert_same(bucketed(rounded, with_prefix(rounded, data), gpu_code=True), expected)


def test_a_buffer_is_filled_after_its_last_copy_alone() -> None:
    class Event:
        def __init__(self, name: str) -> None:
            self.name = name

        def synchronize(self) -> None:
            seen.append(f"{self.name} waited for")

        def record(self) -> None:
            seen.append(f"{self.name} copied")

    seen: list[str] = []
    values, offsets = np.arange(12.0).reshape(6, 2), np.array([0, 1, 4, 6])
    feed = Feed(Prefix(1, values, offsets, 0.0, None, reused=False, mapped=False), 5, torch.device("cpu"))
    feed._copied = [Event("first"), Event("second")]
    for indices in ([0, 2], [1], [2, 1]):
        feed.load(np.array(indices))
        rows = np.concatenate([values[offsets[i] : offsets[i + 1]] for i in indices])
        assert (feed.hidden[: len(rows)].numpy() == rows).all()
    assert seen == [f"{name} {what}" for name in ("first", "second", "first") for what in ("waited for", "copied")]


def test_texts_of_the_longest_length_need_no_position_beyond_the_table() -> None:
    plain, rounded = made("roberta", "full", torch.float64), made("roberta", "full", torch.float64)
    data = examples(plain, 12, max_tokens=64)
    long = replace(data.tokens, ids=np.resize(data.tokens.ids, 12 * 64), offsets=np.arange(13) * 64)
    if long.types is not None:
        long = replace(long, types=np.zeros(12 * 64, dtype=np.uint8))
    texts = replace(data, tokens=long)
    assert_same(bucketed(rounded, texts, gpu_code=True), losses_and_gradients(plain, texts, PACKED, STEPS, 0.01))


def test_a_bucket_holds_its_texts_and_one_of_spare_rows() -> None:
    rng = np.random.default_rng(0)
    for texts in (1, 2, 8, 32):
        for longest in (1, 5, 40, 130, 512):
            for _ in range(20):
                lengths = rng.integers(1, longest + 1, texts)
                bucket = bucket_of(lengths)
                spare = bucket.rows - lengths.sum()
                assert 1 <= spare <= lengths.max()
                assert lengths.max() <= bucket.width < max(17, 1.15 * lengths.max() + 16)
                assert spare <= max(1, lengths.sum() / 8)
                assert bucket.texts == texts


def test_buckets_are_few() -> None:
    lengths = np.random.default_rng(0).gamma(8, 3.4, 10_000).astype(np.int64) + 5  # about as SNLI's pairs
    batches = training_batches(len(lengths), 8, 0, 0)
    buckets = [bucket_of(lengths[batch]) for batch in batches]
    seen = {bucket: buckets.count(bucket) for bucket in buckets}
    assert sum(count for count in seen.values() if count >= 10) > 0.9 * len(batches)
    assert len(seen) < 64


@pytest.mark.parametrize(("buckets", "longest"), [(256, 512), (16, 64), (32, 40)])
def test_relative_buckets_are_those_of_transformers(buckets: int, longest: int) -> None:
    distances = torch.arange(-600, 601)
    assert torch.equal(
        log_buckets(distances, buckets, longest), make_log_bucket_position(distances, buckets, longest).long()
    )
