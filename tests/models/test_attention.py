"""Attention by torch's operations: what it saves, its gradients under dropout, and windows beside padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from thriftune.models.ops import kernels
from thriftune.models.ops.attention import attend, packed_attention, padded_attention
from thriftune.models.ops.rows import Rows, layout, pad, unpad


@pytest.fixture(params=["kernels", "without"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout from a seed, or from a mask."""
    if request.param == "without":
        monkeypatch.setattr(kernels, "usable", lambda *_: False)


def rows_of(lengths: list[int], per_group: int) -> Rows:
    sizes = np.array(lengths)
    starts, positions = np.concatenate([[0], np.cumsum(sizes)[:-1]]), np.concatenate([np.arange(n) for n in lengths])
    tensors = [torch.from_numpy(array) for array in (positions, positions, starts, sizes)]
    return Rows(tensors[0], None, *tensors[1:], layout(sizes, per_group, torch.device("cpu")))


@pytest.mark.usefixtures("_both_ways")
@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_gradients_by_finite_differences_and_probabilities_saved_once(rate: float) -> None:
    torch.manual_seed(0)
    parts = [torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True) for _ in range(3)]
    bias = torch.randn(2, 3, 5, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(5) < torch.tensor([5, 3]).view(2, 1, 1, 1)

    def seeded(*inputs: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return attend(*inputs, mask, 0.5, rate)

    assert torch.autograd.gradcheck(seeded, (*parts, bias))
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        seeded(*parts, bias)
    assert sum(t.shape == bias.shape and t.dtype == torch.float64 for t in saved) == 1


@pytest.mark.parametrize("first_only", [False, True])
@pytest.mark.parametrize("window", [None, 0, 2])
def test_padding_changes_no_text(window: int | None, first_only: bool) -> None:
    """With a window padding may be far from every token: its outputs and gradients stay numbers."""
    torch.manual_seed(0)
    found = []
    for lengths, per_group in (([9, 7, 1], 3), ([9, 7, 1], 1)):
        rows = rows_of(lengths, per_group)
        torch.manual_seed(1)
        query = torch.randn(3 if first_only else 17, 16, dtype=torch.float64, requires_grad=True)
        key, value = (torch.randn(17, 16, dtype=torch.float64, requires_grad=True) for _ in range(2))
        for function in (padded_attention, packed_attention):
            out = function(query, key, value, rows, 2, 0.5, 0.0, first_only, window=window)
            found.append((out, *torch.autograd.grad(out.square().sum(), (query, key, value))))
    for other in found[1:]:
        for ours, theirs in zip(found[0], other, strict=True):
            assert ours.isfinite().all()
            torch.testing.assert_close(ours, theirs)


def test_padding_saves_places_alone() -> None:
    rows = rows_of([5, 3], 2)
    x = torch.randn(8, 6, requires_grad=True)
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        back = unpad(pad(x, rows.groups[0]), rows.groups[0])
    assert torch.equal(back, x)
    assert saved
    assert not any(t.is_floating_point() for t in saved)
