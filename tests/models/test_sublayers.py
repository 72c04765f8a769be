"""A layer's second half as few nodes: the same results and gradients as operation by operation."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers.activations import GELUActivation

from thriftune.models import sublayers
from thriftune.models.kernels.build import build

pytestmark = pytest.mark.skipif(build().reason is not None, reason=f"no kernels: {build().reason}")

PARTS = ("x", "residual", "up.weight", "up.bias", "down.weight", "down.bias", "norm.weight", "norm.bias")


class Half(nn.Module):
    """The modules of a feed-forward; `down` with `norm` serves as an attention's output too."""

    def __init__(self, biased: bool) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(8, 24, bias=biased), nn.Linear(24, 8, bias=biased)
        self.norm = nn.LayerNorm(8)


def results(half: Half, trained: tuple[str, ...], rate: float, one_node: bool) -> list[torch.Tensor]:
    """The outputs, and the gradients of what is trained."""
    torch.manual_seed(1)
    x, wide, residual = (torch.randn(11, size, dtype=torch.float64) for size in (8, 24, 8))
    for name, parameter in half.named_parameters():
        parameter.requires_grad_(name in trained)
    inputs = {"x": (x, wide), "residual": (residual,)}
    for name, tensors in inputs.items():
        for tensor in tensors:
            tensor.requires_grad_(name in trained)
    fed = sublayers.feed_forward(half.up, GELUActivation(), half.down, half.norm, x, rate)
    added = sublayers.add_product(half.down, half.norm, wide, residual, rate)
    for out, node in ((fed, "_FeedForward"), (added, "_AddProduct")):
        assert not out.requires_grad or (node in str(out.grad_fn)) == one_node
    wanted = [p for p in half.parameters() if p.requires_grad]
    wanted += [tensor for name in ("x", "residual") if name in trained for tensor in inputs[name]]
    total = (fed * torch.randn_like(fed)).sum() + (added * torch.randn_like(added)).sum()
    return [fed, added, *(torch.autograd.grad(total, wanted) if wanted else ())]


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.25])
@pytest.mark.parametrize(
    "trained", [PARTS, *((part,) for part in PARTS), ("x", "down.bias"), ("up.weight", "residual")]
)
def test_one_node_is_its_operations(
    trained: tuple[str, ...], rate: float, biased: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    half = Half(biased).double()
    ours = results(half, trained, rate, one_node=True)
    monkeypatch.setattr(sublayers, "is_one_node", lambda products, norm, x: False)
    for mine, theirs in zip(ours, results(half, trained, rate, one_node=False), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("change", ["up", "norm", "dtype"])
def test_other_modules_are_called_as_they_are(change: str) -> None:
    torch.manual_seed(0)
    half = Half(biased=True).double()
    x = torch.randn(5, 8, dtype=torch.float64)
    modules: dict[str, nn.Module] = {"up": half.up, "down": half.down, "norm": half.norm}
    if change == "up":
        modules["up"] = nn.Sequential(half.up, nn.Dropout(0.0))
    elif change == "norm":
        modules["norm"] = nn.RMSNorm(8).double()
    else:
        modules["up"] = half.up.float()
    assert not sublayers.is_one_node((modules["up"], modules["down"]), modules["norm"], x)
    if change != "dtype":
        expected = modules["norm"](x + modules["down"](nn.functional.gelu(modules["up"](x))))
        found = sublayers.feed_forward(modules["up"], GELUActivation(), modules["down"], modules["norm"], x, 0.0)
        torch.testing.assert_close(found, expected)
