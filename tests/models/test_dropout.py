"""Our dropout: frequency, scale, gradient, and bits that survive packing."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thriftune.models.ops import kernels
from thriftune.models.ops.dropout import dropout, dropout_add, keep_mask, pack_bits, rate_of, unpack_bits


@pytest.fixture(autouse=True, params=["kernels", "without"])
def _both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without":
        monkeypatch.setattr(kernels, "usable", lambda *_: False)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3, 0.5, 0.9])
def test_frequency_and_scale(rate: float) -> None:
    torch.manual_seed(0)
    x = torch.ones(1_000_000)
    out = dropout(x, rate)
    kept = out != 0
    assert (1 - kept.float().mean()).item() == pytest.approx(rate, abs=0.002)
    assert out.mean().item() == pytest.approx(1, abs=0.005)
    torch.testing.assert_close(out[kept], torch.full_like(out[kept], 1 / (1 - rate)), rtol=1e-4, atol=0)


def test_neighbours_are_independent() -> None:
    torch.manual_seed(0)
    mask, _ = keep_mask(1_000_000, 0.5)
    x = mask.float() - 0.5
    for lag in (1, 2, 3, 4, 5, 8):
        assert abs((x[lag:] * x[:-lag]).mean().item() * 4) < 0.005
    assert abs(x.view(-1, 4).mean(0)).max() < 0.003, "all four lanes of a draw are fair"


def test_backward_uses_the_same_mask() -> None:
    torch.manual_seed(0)
    x = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
    out = dropout(x, 0.4)
    out.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(out, x * x.grad)


def test_dropout_add_is_dropout_and_addition() -> None:
    x = torch.randn(30, 11, dtype=torch.float64, requires_grad=True)
    residual = torch.randn(30, 11, dtype=torch.float64, requires_grad=True)
    torch.manual_seed(1)
    one = dropout_add(x, residual, 0.3)
    torch.manual_seed(1)
    two = residual + dropout(x, 0.3)
    torch.testing.assert_close(one, two)
    weights = torch.randn_like(x)
    grads = [torch.autograd.grad((out * weights).sum(), [x, residual]) for out in (one, two)]
    for a, b in zip(*grads, strict=True):
        torch.testing.assert_close(a, b)


@settings(max_examples=50)
@given(shape=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0, 1000))
def test_bits_survive_packing(shape: tuple[int, int], seed: int) -> None:
    torch.manual_seed(seed)
    mask = keep_mask(shape[0] * shape[1], 0.5)[0].view(shape)
    bits = pack_bits(mask)
    assert bits.numel() == (mask.numel() + 7) // 8
    assert torch.equal(unpack_bits(bits, mask.shape), mask)


def test_rate_follows_the_mode() -> None:
    module = torch.nn.Dropout(0.3)
    assert rate_of(module.train()) == 0.3
    assert rate_of(module.eval()) == 0.0
    assert rate_of(torch.nn.Identity()) == 0.0
