"""Each technique of the engine switched off, one by one: the same losses and gradients."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from benchmarks.techniques import TECHNIQUES, switched_off
from tests.engine.test_packed import PACKED, losses_and_gradients, made
from tests.tiny_data import examples

from thriftune.engine.frozen.cache import PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.step import Step, build_optimizer

KINDS = ("bert", "deberta-v2", "modernbert")
METHODS = ("full", "lora", "lora top")
STEPS = 4


def result(kind: str, method: str) -> tuple[list[float], list[torch.Tensor]]:
    """In float64, dropout off, over the path that `run_prefix` and the protocol choose."""
    classifier = made(kind, method, torch.float64)
    data = run_prefix(classifier, {"train": examples(classifier, 18, max_tokens=48)}, PACKED, PrefixCache(None))
    classifier.train_mode(False)
    return losses_and_gradients(classifier, data["train"], PACKED, STEPS, 0.01)


expected = cache(result)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("technique", TECHNIQUES)
def test_nothing_changes_without_it(kind: str, method: str, technique: str) -> None:
    losses, gradients = expected(kind, method)
    with switched_off(technique):
        found = result(kind, method)
    np.testing.assert_allclose(found[0], losses, rtol=0, atol=1e-8)
    for mine, theirs in zip(found[1], gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-8)


def test_the_plain_optimizer_takes_the_same_steps() -> None:
    from thriftune.engine import step as engine

    weights = []
    for technique in (None, "fused AdamW"):
        classifier = made("bert", "full", torch.float64)
        with switched_off(technique):
            optimizer = engine.build_optimizer(classifier, PACKED.optimizer, 1e-3)
        assert bool(optimizer.defaults["fused"]) == (technique is None)
        step = Step(classifier, examples(classifier, 18, max_tokens=48), PACKED, optimizer)
        for _ in range(3):
            step([np.arange(6)], 1e-3)
        weights.append([p.detach() for p in step.parameters])
    for plain, fused in zip(*weights, strict=True):
        torch.testing.assert_close(plain, fused, rtol=0, atol=1e-10)


@pytest.mark.parametrize("technique", TECHNIQUES)
def test_a_switch_is_undone(technique: str) -> None:
    from thriftune.engine import step as engine
    from thriftune.models.families.bert import BertFamily

    layer = BertFamily.layer
    with switched_off(technique):
        assert (BertFamily.layer is layer) == (technique != "last layer for the first token")
    assert BertFamily.layer is layer
    assert engine.build_optimizer is build_optimizer


def test_switching_off_reaches_the_engine() -> None:
    """Without the frozen layers' cache there is no prefix; without packing neither."""
    for technique in ("frozen layers once", "packed rows (and all that builds on them)"):
        classifier = made("bert", "lora top", torch.float64)
        data = {"train": examples(classifier, 6, max_tokens=48)}
        with switched_off(technique):
            assert run_prefix(classifier, data, PACKED, PrefixCache(None))["train"] is data["train"]
        assert run_prefix(classifier, data, PACKED, PrefixCache(None))["train"].prefix is not None
