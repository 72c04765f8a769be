"""A bias by distance: the values that MPNet's own forward adds, and gradients with and without the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder
from transformers import MPNetConfig, MPNetModel

from thriftune.engine.batches import packed_batch
from thriftune.models.families import family_of
from thriftune.models.ops import kernels
from thriftune.models.ops.attention import RelativeBias
from thriftune.models.ops.rows import Rows, layout
from thriftune.models.packed import packed_logits
from thriftune.models.pretrained.load import load_classifier


def rows_of(lengths: list[int]) -> Rows:
    device, sizes = torch.device("cpu"), np.array(lengths)
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    positions = np.concatenate([np.arange(size) for size in sizes])
    tensors = [torch.from_numpy(array) for array in (positions, offsets, sizes)]
    return Rows(torch.full((int(sizes.sum()),), 5), None, *tensors, layout(sizes, 2, device))


def test_the_bias_of_every_group_is_that_of_transformers() -> None:
    """Past 128 tokens as well, from where on all distances are one bucket."""
    config = MPNetConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=8, vocab_size=9)
    encoder: Any = MPNetModel(config, add_pooling_layer=False)
    encoder.encoder.relative_attention_bias.weight.data.normal_()
    family, rows = family_of("mpnet"), rows_of([200, 180, 40, 12, 1])
    assert family is not None
    bias = family.context(encoder, rows)
    for group in rows.groups:
        expected = encoder.encoder.compute_position_bias(torch.empty(group.texts, group.width, 32))
        for queries in {group.width, 1}:
            query = torch.empty(group.texts, 4, queries, 8)
            found = bias(query, query, group)
            torch.testing.assert_close(found, expected[:, :, :queries], rtol=0, atol=0)


def test_the_table_goes_on_for_what_the_kernel_reads() -> None:
    distances = RelativeBias.distances(7, torch.device("cpu"))
    assert distances[:13].tolist() == list(range(-6, 7))
    assert len(distances) == 13 + 2 * kernels.MOST_LANES


@pytest.mark.parametrize("trained", ["all", "last layer"])
def test_the_kernels_give_the_gradients_of_torchs_operations(trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    classifier = load_classifier(model_folder("mpnet"), LABELS, seed=1)
    parts = classifier.network if trained == "all" else classifier.layers[-1]
    parts.requires_grad_(True)
    classifier.network.double()
    classifier.eval_mode()
    rows = packed_batch(examples(classifier, 9).tokens, np.arange(9), torch.device("cpu"))
    found = []
    for usable in (kernels.usable, lambda *_: False):
        monkeypatch.setattr(kernels, "usable", usable)
        logits = packed_logits(classifier, rows)
        named = classifier.trained()
        found.append((logits, *torch.autograd.grad(logits.square().sum(), [p for _, p in named], allow_unused=True)))
    names = [name for name, _ in named]
    assert any("relative_attention_bias" in name for name in names) == (trained == "all")
    for name, ours, theirs in zip(["logits", *names], *found, strict=True):
        if theirs is None:
            assert ours is None, name
            continue
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10, msg=name)
        assert theirs.abs().sum() > 0 or "attn.k.bias" in name, name
