"""A pass that was broken off is gone on with, to the same bits; what was altered meanwhile is begun again."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.engine.frozen.test_prefix import PROTOCOL, splits
from tests.engine.frozen.test_stages import made
from tests.tiny_models import model_folder

from thriftune.engine.examples import Prefix
from thriftune.engine.frozen import passes, stages
from thriftune.engine.frozen.cache import KEPT_SECONDS, PrefixCache
from thriftune.engine.frozen.layers import run_prefix
from thriftune.engine.frozen.partial import abandon, alone, is_held


class Killed(BaseException):
    """As a kill: nothing is tidied up."""


@pytest.fixture(params=["at once", "layer by layer"])
def small(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of few tokens, a note after every chunk of two, one layer in memory or all."""
    monkeypatch.setattr("thriftune.engine.batches.ROWS_PER_BATCH", 64)
    monkeypatch.setattr("thriftune.engine.frozen.prefix.ROWS_PER_BATCH", 64)
    monkeypatch.setattr(passes, "CHUNK", 2)
    monkeypatch.setattr(passes, "MARK_SECONDS", 0.0)
    if request.param == "layer by layer":
        monkeypatch.setattr(stages, "STREAMED_BYTES", 0)


def prefix(folder: Path | None, method: str = "top_layers", kind: str = "fp32", report: Any = None) -> Prefix:
    classifier = made(model_folder("bert"), method, lazy=True)
    protocol = PROTOCOL if kind == "fp32" else type(PROTOCOL)(**{**vars(PROTOCOL), "prefix": kind})
    data = {"train": splits(classifier)["train"]}
    found = run_prefix(classifier, data, protocol, PrefixCache(folder), report)["train"].prefix
    assert found is not None
    return found


def broken_off(folder: Path, after: int, error: type[BaseException], method: str, kind: str) -> int:
    """Runs until so many batches are through; returns how many batches there were."""
    seen = 0

    def report(split: str, done: int, total: int) -> None:
        nonlocal seen
        seen += 1
        if seen > after:
            raise error

    with suppress(error):
        prefix(folder, method, kind, report)
    return seen


def copied_as_killed(folder: Path, after: int, method: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """The same as a kill leaves it: no note at the end, no file taken away."""
    with monkeypatch.context() as patch:
        patch.setattr("thriftune.engine.frozen.partial.Partial.delete", lambda self: None)
        return broken_off(folder, after, Killed, method, kind)


@pytest.mark.parametrize(
    ("method", "kind", "places"),
    [
        ("top_layers", "fp32", 1),
        ("head_only", "bf16", 1),
        *(
            pytest.param(method, kind, 6, marks=pytest.mark.slow)
            for method in ("top_layers", "head_only")
            for kind in ("fp32", "bf16")
        ),
    ],
)
@pytest.mark.usefixtures("small")
def test_broken_off_anywhere_it_ends_in_the_same_bits(
    method: str, kind: str, places: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prefix(None, method, kind)
    batches = broken_off(tmp_path / "whole", 10**9, Killed, method, kind)
    assert batches > 8
    rng, counted, first = np.random.default_rng(0), [], batches // 2 if places == 1 else 1
    for after in rng.choice(np.arange(first, batches), places):
        for error in (KeyboardInterrupt, Killed):
            folder = tmp_path / f"{after}-{error.__name__}"
            if error is Killed:
                copied_as_killed(folder, int(after), method, kind, monkeypatch)
            else:
                broken_off(folder, int(after), error, method, kind)
            seen = 0

            def report(split: str, done: int, total: int) -> None:
                nonlocal seen
                seen += 1

            found = prefix(folder, method, kind, report)
            np.testing.assert_array_equal(found.values, whole.values)
            assert not found.reused
            assert seen + after <= batches + 2 * passes.CHUNK, "no more than the chunk under way is done again"
            counted.append(seen)
            assert sorted(path.suffix for path in folder.iterdir()) == [".json", ".npy"]
    assert min(counted) < batches


@pytest.mark.parametrize("harm", ["values", "between", "sums", "state", "journal", "cut"])
@pytest.mark.usefixtures("small")
def test_what_was_altered_meanwhile_is_begun_again(harm: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prefix(None, "head_only", "bf16")
    copied_as_killed(tmp_path, 12, "head_only", "bf16", monkeypatch)
    for path in tmp_path.glob(f"*.{'values' if harm == 'cut' else harm}.part"):
        content = bytearray(path.read_bytes())
        if harm == "cut":
            path.write_bytes(content[: len(content) // 2])
        else:
            for place in range(130, len(content), 997):
                content[place] ^= 4
            content[-1] ^= 1
            path.write_bytes(content)
    np.testing.assert_array_equal(prefix(tmp_path, "head_only", "bf16").values, whole.values)


@pytest.mark.usefixtures("small")
def test_a_flipped_bit_of_what_is_done_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = prefix(None)
    batches = broken_off(tmp_path / "whole", 10**9, Killed, "top_layers", "fp32")
    copied_as_killed(tmp_path, batches - 1, "top_layers", "fp32", monkeypatch)
    (values,) = tmp_path.glob("*.values.part")
    array = np.load(values, mmap_mode="r+")
    array.reshape(-1).view(np.uint32)[7] ^= 1
    array.flush()
    seen: list[int] = []
    found = prefix(tmp_path, report=lambda *_: seen.append(1))
    np.testing.assert_array_equal(found.values, whole.values)
    assert len(seen) == batches, "all of it ran again"


def test_who_needs_what_another_is_computing_waits_for_it(tmp_path: Path) -> None:
    entered, go_on, results = threading.Event(), threading.Event(), []

    def report(split: str, done: int, total: int) -> None:
        entered.set()
        assert go_on.wait(60)

    def run(report: Callable[..., None] | None) -> None:
        results.append(prefix(tmp_path, report=report))

    first = threading.Thread(target=run, args=(report,))
    first.start()
    assert entered.wait(60)
    (values,) = tmp_path.glob("*.values.part")
    path = values.with_name(f"{values.name.split('.')[0]}.npy")
    assert is_held(path)
    assert not abandon(path)
    assert PrefixCache(tmp_path).clear() == []
    assert values.exists(), "what is being written stays"
    second = threading.Thread(target=run, args=(lambda *_: pytest.fail("computed twice"),))
    second.start()
    time.sleep(0.3)
    assert second.is_alive()
    go_on.set()
    for thread in (first, second):
        thread.join(60)
    assert sorted(each.reused for each in results) == [False, True]
    np.testing.assert_array_equal(results[0].values, results[1].values)
    assert not list(tmp_path.glob("*.lock"))


@pytest.mark.usefixtures("small")
def test_abandoned_passes_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    copied_as_killed(tmp_path / "a", 5, "top_layers", "fp32", monkeypatch)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert list((tmp_path / "a").glob("*.part"))
    PrefixCache(tmp_path / "a").make_room(1)
    assert list((tmp_path / "a").glob("*.part")), "it can still be gone on with"
    old = time.time() - 2 * KEPT_SECONDS
    for path in (tmp_path / "a").iterdir():
        os.utime(path, (old, old))
    PrefixCache(tmp_path / "a").make_room(1)
    assert list((tmp_path / "a").iterdir()) == []
    PrefixCache(tmp_path / "b", limit_bytes=1000).make_room(900)
    assert list((tmp_path / "b").iterdir()) == [], "room is made at the cost of what is unfinished first"


def test_without_locks_everything_still_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from filelock import FileLock

    def none(self: Any, **_: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", none)
    np.testing.assert_array_equal(prefix(tmp_path).values, prefix(None).values)
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".json", ".npy"]


def test_the_request_to_end_leaves_what_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thriftune.engine.batches.ROWS_PER_BATCH", 64)
    monkeypatch.setattr("thriftune.engine.frozen.prefix.ROWS_PER_BATCH", 64)
    asked = iter([False] * 6 + [True] * 100)
    with monkeypatch.context() as patch:
        patch.setattr(passes, "asked_to_end", lambda: next(asked))
        with pytest.raises(KeyboardInterrupt):
            prefix(tmp_path)
    assert list(tmp_path.glob("*.state.part"))
    with alone(next(iter(tmp_path.glob("*.values.part"))).with_name("other.npy")) as other:
        assert not other.begun
    np.testing.assert_array_equal(prefix(tmp_path).values, prefix(None).values)
