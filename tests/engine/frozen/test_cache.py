"""The cache's folder: what it says of its files, and what clearing leaves alone."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.frozen.test_prefix import PROTOCOL, made, splits

from thriftune.cost.measured.memory import peak_of
from thriftune.engine.frozen.cache import ABANDONED_SECONDS, PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.predict import predict


def test_an_entry_says_what_it_belongs_to(tmp_path: Path) -> None:
    classifier = made()
    data = splits(classifier)
    run_prefix(classifier, data, PROTOCOL, PrefixCache(tmp_path))
    entries = {entry.texts: entry for entry in PrefixCache(tmp_path).entries()}
    assert set(entries) == {60, 20}
    entry = entries[60]
    assert (entry.model, entry.layer, entry.tokens) == (classifier.name, classifier.cut, len(data["train"].tokens.ids))
    assert entry.bytes == (tmp_path / entry.file).stat().st_size
    assert entry.seconds is not None
    assert abs(entry.last_used - time.time()) < 60


def test_clearing_leaves_a_run_that_reads_it_as_it_is(tmp_path: Path) -> None:
    classifier = made()
    data = run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(tmp_path))
    before = predict(classifier, data["validation"], PROTOCOL)
    assert len(PrefixCache(tmp_path).clear()) == 2
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(predict(classifier, data["validation"], PROTOCOL), before)


def test_clearing_spares_files_that_are_being_written(tmp_path: Path) -> None:
    old = time.time() - 2 * ABANDONED_SECONDS
    for name in ("a.1.tmp", "b.2.tmp", "c.json", "d.json"):
        (tmp_path / name).touch()
    for name in ("b.2.tmp", "d.json"):
        os.utime(tmp_path / name, (old, old))
    assert PrefixCache(tmp_path).clear() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.1.tmp", "c.json"]


def test_room_is_not_made_at_the_cost_of_what_is_needed(tmp_path: Path) -> None:
    for index, name in enumerate(("mine.npy", "other.npy")):
        (tmp_path / name).write_bytes(b"x" * 100)
        os.utime(tmp_path / name, (index, index))
    assert PrefixCache(tmp_path, limit_bytes=250).make_room(100, keep=("mine.npy",))
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npy"]


def test_a_full_cache_that_holds_the_prefixes_already_is_used(tmp_path: Path) -> None:
    first = made()
    data = splits(first)
    run_prefix(first, data, PROTOCOL, PrefixCache(tmp_path))
    held = sum(path.stat().st_size for path in tmp_path.glob("*.npy"))
    second = made()
    found = run_prefix(second, data, PROTOCOL, PrefixCache(tmp_path, limit_bytes=held))
    assert found["train"].prefix is not None
    assert found["train"].prefix.reused


def test_the_peak_is_that_of_the_first_time(tmp_path: Path) -> None:
    peaks = []
    for _ in range(2):
        classifier = made()
        data = run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(tmp_path), peak_of=peak_of)
        assert data["train"].prefix is not None
        peaks.append(data["train"].prefix.peak_memory_bytes)
    whole = sum(p.numel() * 4 for p in made().network.parameters())
    assert peaks[0] == peaks[1]
    assert whole < peaks[0] < 10 * whole + 2048 * 48 * 4 * 20, "weights, and a batch's activations"


def test_a_file_whose_peak_was_not_measured_is_computed_again(tmp_path: Path) -> None:
    for measure, reused in ((None, False), (None, True), (peak_of, False), (peak_of, True), (None, True)):
        classifier = made()
        prefix = run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(tmp_path), peak_of=measure)[
            "train"
        ].prefix
        assert prefix is not None
        assert prefix.reused == reused


def _train_prefix(folder: Path) -> tuple[np.ndarray, Any]:
    classifier = made()
    data = run_prefix(classifier, splits(classifier), PROTOCOL, PrefixCache(folder))
    prefix = data["train"].prefix
    assert prefix is not None
    return np.array(prefix.values), (prefix, classifier)


def test_a_cache_that_cannot_be_used_costs_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, _ = _train_prefix(tmp_path / "sound")
    (tmp_path / "file").write_text("in its place")
    values, (prefix, classifier) = _train_prefix(tmp_path / "file")
    assert np.array_equal(values, expected)
    assert not prefix.mapped
    assert any("cannot be written to" in note for note in classifier.notes)

    def full(handle: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    values, (prefix, classifier) = _train_prefix(tmp_path / "full")
    assert np.array_equal(values, expected)
    assert not prefix.mapped
    assert any("No space left" in note for note in classifier.notes)
    assert list((tmp_path / "full").iterdir()) == [], "nothing half-written is left"


@pytest.mark.parametrize(
    "note", [b"", b"null", b"[]", b"{", b"{}", b'{"seconds": "x", "bytes": 1}', b"\xff", b'{"a":' * 50_000]
)
def test_damaged_notes_cost_time_alone(tmp_path: Path, note: bytes) -> None:
    expected, _ = _train_prefix(tmp_path)
    for path in tmp_path.glob("*.json"):
        path.write_bytes(note)
    assert all(entry.model is None for entry in PrefixCache(tmp_path).entries())
    values, (prefix, _) = _train_prefix(tmp_path)
    assert np.array_equal(values, expected)
    assert not prefix.reused
    assert _train_prefix(tmp_path)[1][0].reused


def test_a_folder_in_place_of_an_entry_is_passed_over(tmp_path: Path) -> None:
    expected, _ = _train_prefix(tmp_path)
    for path in tmp_path.glob("*.npy"):
        path.unlink()
        path.mkdir()
    values, _ = _train_prefix(tmp_path)
    assert np.array_equal(values, expected)
    PrefixCache(tmp_path, limit_bytes=1).make_room(1)
    PrefixCache(tmp_path).clear()
