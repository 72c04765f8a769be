"""Linear modules by type: LoRA's update against PEFT's own forward, everything else called as it is."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from torch import nn

from thriftune.models.ops.linear import affine, is_affine, linear


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.query(x)


def adapted(config: Any) -> nn.Module:
    torch.manual_seed(0)
    model = get_peft_model(Net().double(), config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_()
    module: nn.Module = model.base_model.model.query
    return module.double()


CONFIGS = {
    "lora": LoraConfig(r=3, lora_alpha=5, target_modules=["query"]),
    "rslora": LoraConfig(r=3, lora_alpha=5, target_modules=["query"], use_rslora=True),
    "dora": LoraConfig(r=3, lora_alpha=5, target_modules=["query"], use_dora=True),
    "lora bias": LoraConfig(r=3, lora_alpha=5, target_modules=["query"], lora_bias=True),
    "ia3": IA3Config(target_modules=["query"], feedforward_modules=[]),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_output_and_gradients_are_pefts(config: Any) -> None:
    module = adapted(config)
    x = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    parameters = [x, *(p for p in module.parameters() if p.requires_grad)]
    weights = torch.randn(9, 5, dtype=torch.float64)
    ours, theirs = linear(module, x), module(x)
    torch.testing.assert_close(ours, theirs)
    mine = torch.autograd.grad((ours * weights).sum(), parameters)
    for a, b in zip(mine, torch.autograd.grad((theirs * weights).sum(), parameters), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_tuner_that_is_switched_off_is_the_module_below_it(config: Any) -> None:
    module: Any = adapted(config)
    x = torch.randn(9, 6, dtype=torch.float64)
    on = linear(module, x)
    module.enable_adapters(False)
    below = module.base_layer
    below.requires_grad_(False)
    ours = linear(module, x)
    torch.testing.assert_close(ours, module(x))
    assert not torch.allclose(ours, on)
    assert is_affine(module, x)
    assert affine(module, x)[0] is below.weight
    assert ours.grad_fn is None
    module.enable_adapters(True)
    torch.testing.assert_close(linear(module, x), on)


def test_lora_dropout_gradients_by_finite_differences() -> None:
    module = adapted(LoraConfig(r=3, target_modules=["query"], lora_dropout=0.5)).train()
    x = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)

    def seeded(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return linear(module, x)

    assert torch.autograd.gradcheck(seeded, (x, *(p for p in module.parameters() if p.requires_grad)))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("input_needs_gradient", [True, False])
def test_with_a_frozen_the_input_is_not_saved(dropout: float, input_needs_gradient: bool) -> None:
    module = adapted(LoraConfig(r=3, target_modules=["query"], lora_dropout=dropout)).train()
    module.lora_A.requires_grad_(False)  # type: ignore[union-attr, operator]
    x = torch.randn(64, 6, dtype=torch.float64, requires_grad=input_needs_gradient)
    wanted = [p for p in (x, *module.parameters()) if p.requires_grad]
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        torch.manual_seed(3)
        out = linear(module, x)
    down = module.lora_A["default"].weight  # type: ignore[index]
    assert not any(t.shape == x.shape and t.dtype == x.dtype for t in saved)
    grads = torch.autograd.grad((out * 2).sum(), wanted)
    down.requires_grad_(True)
    torch.manual_seed(3)
    for mine, full in zip(grads, torch.autograd.grad((linear(module, x) * 2).sum(), wanted), strict=True):
        torch.testing.assert_close(mine, full)


def test_a_frozen_linear_saves_no_input() -> None:
    saved = []
    module = nn.Linear(6, 5).requires_grad_(False)
    x = torch.randn(9, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        linear(module, x * 1.0)
    assert not any(t.shape == x.shape for t in saved if t is not x)


def test_a_plain_module_needs_no_peft() -> None:
    """Importing it would be timed as part of the first prediction."""
    code = (
        "import sys, torch; from torch import nn; from thriftune.models.ops.linear import is_affine, linear\n"
        "module, x = nn.Linear(6, 5), torch.randn(3, 6)\n"
        "assert torch.allclose(linear(module, x), module(x), atol=1e-6) and is_affine(module, x)\n"
        "assert 'peft' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
