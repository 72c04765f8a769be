"""Our dropout: frequency, scale and gradient, with the kernels and without."""

from __future__ import annotations

import pytest
import torch

from thriftune.models.ops import kernels
from thriftune.models.ops.dropout import draw, dropout, rate_of


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
    x = dropout(torch.ones(1_000_000), 0.5) / 2 - 0.5
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


def test_a_mask_is_saved_once_and_seeds_need_none() -> None:
    x = torch.ones(50, 7, requires_grad=True)
    assert draw(x, 0.0) == (0, None)
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        dropout(x, 0.4)
    assert [(t.shape, t.element_size()) for t in saved] == ([] if kernels.usable(x) else [(x.shape, 1)])


def test_rate_follows_the_mode() -> None:
    module = torch.nn.Dropout(0.3)
    assert rate_of(module.train()) == 0.3
    assert rate_of(module.eval()) == 0.0
    assert rate_of(torch.nn.Identity()) == 0.0
