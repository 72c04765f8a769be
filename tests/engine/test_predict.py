"""The vectors that the head reads: the encoder's own, on the packed and on the reference path."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.engine.test_packed import CASES, PACKED, REFERENCE, made, with_prefix
from tests.tiny_data import examples
from tests.tiny_models import KINDS

from thriftune.engine.batches import padded_batch
from thriftune.engine.predict import SAMPLED_TEXTS, predict, predict_and_embed, sampled_texts


@pytest.mark.parametrize(("kind", "method"), CASES)
def test_packed_and_reference_vectors_are_the_encoders(kind: str, method: str) -> None:
    texts = np.array([3, 4, 17])
    reference = made(kind, method, torch.float32)
    data = examples(reference, 20, max_tokens=48)
    logits, vectors = predict_and_embed(reference, data, REFERENCE, texts)
    with torch.inference_mode():
        inputs = padded_batch(data.tokens, texts, reference, REFERENCE)
        states = reference.encoder(**inputs).last_hidden_state
    expected = states[:, 0]
    if reference.reads == "mean":
        mask = inputs["attention_mask"].unsqueeze(-1)
        expected = (states * mask).sum(1) / mask.sum(1)
    assert vectors.dtype == np.float16
    np.testing.assert_allclose(vectors.astype(float), expected.numpy(), rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(logits, predict(reference, data, REFERENCE))

    packed = made(kind, method, torch.float32)
    with_cut = with_prefix(packed, data)
    logits, found = predict_and_embed(packed, with_cut, PACKED, texts)
    np.testing.assert_allclose(found.astype(float), vectors.astype(float), rtol=2e-3, atol=2e-3)
    np.testing.assert_array_equal(logits, predict(packed, with_cut, PACKED))


@pytest.mark.parametrize("head", ["linear", "mean"])
@pytest.mark.parametrize("kind", KINDS)
def test_heads_on_the_bare_encoder(kind: str, head: str) -> None:
    texts = np.arange(5)
    found = []
    for protocol in (REFERENCE, PACKED):
        classifier = made(kind, "lora", torch.float32, head=head)
        found.append(predict_and_embed(classifier, examples(classifier, 9, max_tokens=48), protocol, texts)[1])
    np.testing.assert_allclose(found[0].astype(float), found[1].astype(float), rtol=2e-3, atol=2e-3)
    assert np.ptp(found[0].astype(float), axis=0).max() > 0.1


def test_the_sample_depends_on_the_count_alone() -> None:
    assert sampled_texts(7).tolist() == list(range(7))
    sample = sampled_texts(20_000)
    assert len(set(sample.tolist())) == SAMPLED_TEXTS
    assert sample.tolist() == sorted(sample.tolist())
    assert (sample == sampled_texts(20_000)).all()
    assert sample.max() > 19_000
