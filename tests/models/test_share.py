"""Dropout on a share of a batch is what it is on the whole one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thriftune.models.ops import kernels
from thriftune.models.ops.dropout import dropout
from thriftune.models.ops.share import Share, computing

LENGTHS = np.array([9, 7, 4, 2])
NEEDS_KERNELS = pytest.mark.skipif(not kernels.usable(torch.zeros(1)), reason="no compiled kernels here")


def parts(count: int) -> list[tuple[Share, slice]]:
    """Both shares, and what of a tensor with so many rows or texts is theirs."""
    found = []
    for rank, (start, stop) in enumerate(((0, 2), (2, 4))):
        share = Share(LENGTHS, start, stop, rank)
        first, end, rows = share.rows
        found.append((share, slice(first, end) if count == rows else slice(start, stop)))
    return found


@NEEDS_KERNELS
@pytest.mark.parametrize("count", [int(LENGTHS.sum()), len(LENGTHS)])
def test_rows_and_texts_keep_their_masks(count: int) -> None:
    x = torch.ones(count, 8)
    torch.manual_seed(0)
    whole = dropout(x, 0.5)
    for share, own in parts(count):
        torch.manual_seed(0)
        with computing(share):
            assert torch.equal(dropout(x[own], 0.5), whole[own])


@NEEDS_KERNELS
def test_what_belongs_to_no_text_is_the_same_everywhere() -> None:
    x = torch.ones(50, 8)
    masks = []
    for share, _ in parts(len(LENGTHS)):
        torch.manual_seed(0)
        with computing(share):
            masks.append(dropout(x, 0.5))
    assert torch.equal(*masks)


def test_without_kernels_all_draw_equally_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "usable", lambda *tensors: False)
    states, masks = [], []
    for share, own in parts(int(LENGTHS.sum())):
        torch.manual_seed(0)
        with computing(share):
            masks.append(dropout(torch.ones(int(LENGTHS.sum()), 8)[own], 0.5))
        states.append(torch.get_rng_state())
    assert torch.equal(*states)
    assert not torch.equal(masks[0][:6], masks[1]), "the processes' masks are not the same one"
