"""Linear modules by type: LoRA's update against PEFT's own forward, everything else called as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model
from torch import nn

from thriftune.models.linear import linear


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


@pytest.mark.parametrize(
    "config",
    [
        LoraConfig(r=3, lora_alpha=5, target_modules=["query"]),
        LoraConfig(r=3, lora_alpha=5, target_modules=["query"], use_rslora=True),
        LoraConfig(r=3, lora_alpha=5, target_modules=["query"], use_dora=True),
        LoraConfig(r=3, lora_alpha=5, target_modules=["query"], lora_bias=True),
        IA3Config(target_modules=["query"], feedforward_modules=[]),
    ],
    ids=["lora", "rslora", "dora", "lora bias", "ia3"],
)
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


def test_lora_dropout_gradients_by_finite_differences() -> None:
    module = adapted(LoraConfig(r=3, target_modules=["query"], lora_dropout=0.5)).train()
    x = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)

    def seeded(x: torch.Tensor, *parameters: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(3)
        return linear(module, x)

    assert torch.autograd.gradcheck(seeded, (x, *(p for p in module.parameters() if p.requires_grad)))


def test_a_frozen_linear_saves_no_input() -> None:
    saved = []
    module = nn.Linear(6, 5).requires_grad_(False)
    x = torch.randn(9, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        linear(module, x * 1.0)
    assert not any(t.shape == x.shape for t in saved if t is not x)
