"""A feed-forward as one node: the same results and gradients as operation by operation."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.activations import GELUActivation

from thriftune.models import feed_forward
from thriftune.models.kernels.build import build

pytestmark = pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")

PARTS = ("x", "up.weight", "up.bias", "down.weight", "down.bias", "norm.weight", "norm.bias")


class Modules(nn.Module):
    """The modules of a feed-forward."""

    def __init__(self, biased: bool) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 24, bias=biased), nn.Linear(24, 8, bias=biased)
        self.norm = nn.LayerNorm(8)


def results(modules: Modules, trained: tuple[str, ...], rate: float, one_node: bool) -> list[torch.Tensor]:
    """The output, and the gradients of what is trained."""
    torch.manual_seed(1)
    x = torch.randn(11, 8, dtype=torch.float64, requires_grad="x" in trained)
    for name, parameter in modules.named_parameters():
        parameter.requires_grad_(name in trained)
    out = feed_forward.feed_forward(modules.up, GELUActivation(), modules.down, modules.norm, x, rate)
    assert not out.requires_grad or ("_FeedForward" in str(out.grad_fn)) == one_node
    wanted = [tensor for tensor in (x, *modules.parameters()) if tensor.requires_grad]
    return [out, *(torch.autograd.grad((out * torch.randn_like(out)).sum(), wanted) if wanted else ())]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize(
    "trained", [PARTS, *((part,) for part in PARTS), ("x", "down.bias"), ("up.weight", "norm.bias")]
)
def test_one_node_is_its_operations(
    trained: tuple[str, ...], rate: float, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    modules = Modules(biased).double()
    ours = results(modules, trained, rate, one_node=True)
    monkeypatch.setattr(feed_forward, "is_one_node", lambda *parts: False)
    for mine, theirs in zip(ours, results(modules, trained, rate, one_node=False), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("change", ["up", "activation", "norm"])
def test_other_modules_are_called_as_they_are(change: str) -> None:
    torch.manual_seed(0)
    modules = Modules(biased=True).double()
    x = torch.randn(5, 8, dtype=torch.float64)
    up = nn.Sequential(modules.up, nn.Dropout(0.0)) if change == "up" else modules.up
    activation = nn.ReLU() if change == "activation" else GELUActivation()
    norm = nn.RMSNorm(8).double() if change == "norm" else modules.norm
    assert not feed_forward.is_one_node(up, activation, modules.down, norm, x)
    found = feed_forward.feed_forward(up, activation, modules.down, norm, x, 0.0)
    torch.testing.assert_close(found, norm(x + modules.down(activation(up(x)))))


def test_weights_in_another_number_format_are_not_multiplied_with_the_rows() -> None:
    modules = Modules(biased=True)
    x = torch.randn(5, 8, dtype=torch.float64)
    assert not feed_forward.is_one_node(modules.up, GELUActivation(), modules.down, modules.norm.double(), x)
