"""Outputs of frozen layers kept as bf16: half the bytes, rounded values, apart from whole ones; and their size."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.engine.frozen.test_prefix import PROTOCOL, made, splits

from thriftune.engine.examples import Examples, Prefix, narrow_values, tensor_of
from thriftune.engine.frozen.cache import PrefixCache, cache_limit
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Protocol
from thriftune.errors import InputError
from thriftune.settings import SettingsError

BF16 = replace(PROTOCOL, prefix="bf16")


def kept(folder: Path | None, protocol: Protocol) -> tuple[dict[str, Examples], np.ndarray]:
    classifier = made()
    data = run_prefix(classifier, splits(classifier), protocol, PrefixCache(folder))
    return data, predict(classifier, data["validation"], protocol)


def prefix(data: dict[str, Examples]) -> Prefix:
    found = data["train"].prefix
    assert found is not None
    return found


def test_values_are_rounded_and_widened(tmp_path: Path) -> None:
    (whole, expected), (narrow, found) = kept(tmp_path, PROTOCOL), kept(tmp_path, BF16)
    assert prefix(narrow).values.nbytes * 2 == prefix(whole).values.nbytes
    assert len(list(tmp_path.glob("*.npy"))) == 4, "a file for each format"
    texts = np.arange(5)
    rounded = prefix(whole).read(texts, torch.device("cpu")).to(torch.bfloat16).float()
    read = prefix(narrow).read(texts, torch.device("cpu"))
    assert read.dtype == torch.float32
    torch.testing.assert_close(read, rounded, rtol=0, atol=0)
    assert not np.array_equal(found, expected)
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_memory_disk_and_a_warm_cache_give_the_same_bits(tmp_path: Path) -> None:
    results = [kept(tmp_path, BF16), kept(tmp_path, BF16), kept(None, BF16)]
    assert [prefix(data).reused for data, _ in results] == [False, True, False]
    for _, found in results[1:]:
        np.testing.assert_array_equal(found, results[0][1])


def test_bits() -> None:
    values = torch.tensor([1.0, -0.1, 3e38, float("inf"), 1e-40, 0.0])
    torch.testing.assert_close(tensor_of(narrow_values(values)), values.to(torch.bfloat16), rtol=0, atol=0)


def test_it_is_an_error_where_it_does_nothing() -> None:
    for further in ({"padding": "longest"}, {"frozen_dropout": "on"}):
        with pytest.raises(SettingsError, match="prefix: has no effect"):
            Protocol(prefix="bf16", **further)


def test_a_disk_that_would_not_hold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000, total=10**9, used=10**9 - 1000))
    classifier = made()
    data = splits(classifier)
    assert run_prefix(classifier, data, PROTOCOL, PrefixCache(tmp_path)) == data
    (note,) = classifier.notes
    assert note.startswith("The frozen layers ran in every step: their output takes ")
    assert f"{tmp_path} has room for 1.00 kB of it" in note
    assert list(tmp_path.iterdir()) == []


def test_the_limit_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRIFTUNE_CACHE_LIMIT", "300GB")
    assert cache_limit() == 300_000_000_000
    monkeypatch.setenv("THRIFTUNE_CACHE_LIMIT", "much")
    with pytest.raises(InputError, match='THRIFTUNE_CACHE_LIMIT: "much" is no amount'):
        cache_limit()
