from collections.abc import Hashable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thriftune.data.splits.make import draw, split_rows
from thriftune.errors import InputError

quick = settings(max_examples=80, deadline=None)
shares = st.fixed_dictionaries({"test": st.floats(0.05, 0.4), "validation": st.floats(0.05, 0.4)})
seeds = st.integers(0, 10_000)


def assert_partition(parts: dict[str, np.ndarray], rows: int) -> None:
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(rows))
    for part in parts.values():
        assert len(part) > 0
        assert np.all(np.diff(part) > 0)


@quick
@given(shares=shares, seed=seeds, labels=st.lists(st.integers(0, 2), min_size=20, max_size=200))
def test_random_splits_share_out_every_row_once(shares: dict[str, float], seed: int, labels: list[int]) -> None:
    parts = split_rows(shares, np.array(labels, np.int32), stratify=False, seed=seed)
    assert_partition(parts, len(labels))
    for name, share in shares.items():
        assert len(parts[name]) == max(1, round(share * len(labels)))


@quick
@given(shares=shares, seed=seeds, sizes=st.lists(st.integers(3, 60), min_size=2, max_size=3))
def test_stratified_splits_keep_class_shares(shares: dict[str, float], seed: int, sizes: list[int]) -> None:
    labels = np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)
    parts = split_rows(shares, labels, stratify=True, seed=seed)
    assert_partition(parts, len(labels))
    for part in parts.values():
        assert set(labels[part].tolist()) == set(range(len(sizes)))
    if min(sizes) > 40:
        for name, share in shares.items():
            assert len(parts[name]) == round(share * len(labels))
            for label, size in enumerate(sizes):
                assert abs(int((labels[parts[name]] == label).sum()) - share * size) < 2


@quick
@given(seed=seeds, sizes=st.lists(st.integers(1, 6), min_size=40, max_size=80))
def test_groups_stay_whole_and_shares_are_near(seed: int, sizes: list[int]) -> None:
    groups: list[Hashable] = [f"g{i}" for i, size in enumerate(sizes) for _ in range(size)]
    labels = np.zeros(len(groups), np.int32)
    parts = split_rows({"test": 0.2, "validation": 0.1}, labels, stratify=True, groups=groups, seed=seed)
    assert_partition(parts, len(groups))
    seen = [{groups[i] for i in part} for part in parts.values()]
    assert sum(len(found) for found in seen) == len(set(groups))
    assert abs(len(parts["test"]) - 0.2 * len(groups)) <= 3
    assert abs(len(parts["validation"]) - 0.1 * len(groups)) <= 3


def test_a_draw_is_pinned() -> None:
    parts = split_rows({"test": 0.3}, np.zeros(10, np.int32), stratify=False, seed=42)
    assert parts["test"].tolist() == PINNED
    other = split_rows({"test": 0.3}, np.zeros(10, np.int32), stratify=False, seed=43)
    assert parts["test"].tolist() != other["test"].tolist()


PINNED = [0, 5, 6]


def test_the_published_split_sizes() -> None:
    labels = (np.arange(549_367) % 3).astype(np.int32)
    parts = split_rows({"test": 0.2, "validation": 0.1}, labels, stratify=True, seed=42)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 384_557,
        "test": 109_873,
        "validation": 54_937,
    }


def test_a_class_too_small_to_share_out_goes_to_train_first() -> None:
    labels = np.array([0] * 20 + [1] * 2 + [2], np.int32)
    parts = split_rows({"test": 0.2, "validation": 0.1}, labels, stratify=True, seed=0)
    counts = {name: np.bincount(labels[rows], minlength=3).tolist() for name, rows in parts.items()}
    assert [counts[name][1:] for name in ("train", "test", "validation")] == [[1, 1], [1, 0], [0, 0]]
    assert sum(len(rows) for rows in parts.values()) == len(labels)
    assert len(parts["test"]) == 5


def test_too_few_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="2 rows are too few"):
        split_rows({"test": 0.2, "validation": 0.1}, np.zeros(2, np.int32), stratify=False, seed=0)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (["x"] * 10, "too few to make test"),
        (["x"] * 5 + ["y"] * 5, "No group is small enough"),
    ],
)
def test_groups_that_cannot_go_round_are_an_error(groups: list[Hashable], message: str) -> None:
    with pytest.raises(InputError, match=message):
        split_rows({"test": 0.1}, np.zeros(10, np.int32), stratify=True, groups=groups, seed=0)


def test_a_draw_keeps_the_order_and_takes_all_there_is() -> None:
    assert draw(3, 5, 42).tolist() == [0, 1, 2]
    drawn = draw(100, 10, 42)
    assert len(set(drawn.tolist())) == 10
    assert np.all(np.diff(drawn) > 0)
    assert drawn.tolist() == draw(100, 10, 42).tolist()


@quick
@given(st.integers(0, 1000))
def test_a_rare_class_is_in_every_split_of_groups(seed: int) -> None:
    groups: list[Hashable] = [f"g{i // 4}" for i in range(400)]
    labels = np.array([1 if i in (0, 1, 100, 200, 300, 301) else 0 for i in range(400)], np.int32)
    parts = split_rows({"test": 0.2, "validation": 0.1}, labels, stratify=True, groups=groups, seed=seed)
    assert_partition(parts, len(groups))
    missing = [name for name, rows in parts.items() if not labels[rows].any()]
    assert len(missing) <= 1  # four groups have the class: a draw in thirty leaves one split without it, at worst
