"""Batches and packed rows, whatever the lengths: every text once, every token in its place."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from thriftune.data.tokens import Tokens
from thriftune.engine.batches import ROWS_PER_BATCH, packed_batch, token_batches, training_batches
from thriftune.models.ops.rows import pad, unpad

lengths_of_texts = st.lists(st.integers(1, 40), min_size=1, max_size=30)


def tokens_of(lengths: list[int]) -> Tokens:
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.arange(1, offsets[-1] + 1, dtype=np.int32)
    return Tokens(ids, (ids % 2).astype(np.uint8), offsets, truncated=0)


@given(count=st.integers(1, 500), size=st.integers(1, 64), seed=st.integers(0, 2**31), epoch=st.integers(0, 50))
def test_an_epoch_sees_every_text_once(count: int, size: int, seed: int, epoch: int) -> None:
    batches = training_batches(count, size, seed, epoch)
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert 1 <= len(batches[-1]) <= size
    assert sorted(np.concatenate(batches).tolist()) == list(range(count))
    again = training_batches(count, size, seed, epoch)
    assert all((one == other).all() for one, other in zip(batches, again, strict=True))


@given(lengths=st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_batches_by_tokens_hold_every_text_once_and_the_longest_first(lengths: list[int]) -> None:
    array = np.array(lengths)
    batches = token_batches(array)
    order = np.concatenate(batches)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    assert (np.diff(array[order]) <= 0).all()
    for batch in batches:
        assert array[batch].sum() < ROWS_PER_BATCH + array[batch].max()


@given(lengths=lengths_of_texts, data=st.data())
def test_packed_rows_are_the_texts_side_by_side(lengths: list[int], data: st.DataObject) -> None:
    tokens = tokens_of(lengths)
    chosen = data.draw(st.lists(st.integers(0, len(lengths) - 1), min_size=1, max_size=12))
    rows = packed_batch(tokens, np.array(chosen), torch.device("cpu"))
    expected = [tokens.ids[tokens.offsets[text] : tokens.offsets[text + 1]] for text in chosen]
    assert rows.ids.tolist() == np.concatenate(expected).tolist()
    assert rows.types is not None
    assert rows.types.tolist() == (np.concatenate(expected) % 2).tolist()
    assert rows.lengths.tolist() == [lengths[text] for text in chosen]
    for text, start in zip(chosen, rows.starts.tolist(), strict=True):
        assert rows.positions[start : start + lengths[text]].tolist() == list(range(lengths[text]))
        assert rows.ids[start].item() == tokens.ids[tokens.offsets[text]]


@given(lengths=lengths_of_texts)
def test_padding_and_back_changes_nothing(lengths: list[int]) -> None:
    rows = packed_batch(tokens_of(lengths), np.arange(len(lengths)), torch.device("cpu"))
    values = rows.ids[:, None].float() * torch.tensor([1.0, 0.5])
    ends = [group.first_row + group.rows for group in rows.groups]
    assert [0, *ends[:-1]] == [group.first_row for group in rows.groups]
    parts = [values[group.first_row : group.first_row + group.rows] for group in rows.groups]
    for part, group in zip(parts, rows.groups, strict=True):
        padded = pad(part, group)
        assert padded.shape == (group.texts, group.width, 2)
        assert padded.sum().item() == part.sum().item()
        assert torch.equal(unpad(padded, group), part)
    assert torch.equal(torch.cat(parts), values)
