"""GPU estimates: the published study's peaks, from configurations alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from thriftune.cost.predicted.cuda import GPUS, CudaKernels, find_gpu
from thriftune.cost.predicted.estimate import Case, estimate
from thriftune.cost.predicted.shapes import without_data
from thriftune.engine.protocol import OptimizerSettings, Protocol
from thriftune.errors import InputError
from thriftune.methods import find
from thriftune.models.head import HeadSettings

CONFIGS = Path(__file__).parent / "configs"
LORA: tuple[str, dict[str, Any]] = ("lora", {"rank": 8, "alpha": 16, "dropout": 0.1})
PUBLISHED = [
    ("bert-base", ("top_layers", {"layers": 2}), 8, 0.885e9),
    ("bert-base", LORA, 8, 1.568e9),
    ("distilbert-base", ("top_layers", {"layers": 1}), 13, 0.642e9),
    ("distilbert-base", LORA, 8, 0.874e9),
    pytest.param("deberta-v2-xxlarge", ("top_layers", {"layers": 8}), 4, 10.795e9, marks=pytest.mark.slow),
    pytest.param("deberta-v2-xxlarge", LORA, 4, 19.664e9, marks=pytest.mark.slow),
]
"""Model, method, batch size and peak allocated bytes on one H100, float32, padded to 256 tokens."""


@pytest.mark.parametrize(("model", "method", "batch", "published"), PUBLISHED)
def test_published_peaks_are_met(model: str, method: tuple[str, dict[str, Any]], batch: int, published: float) -> None:
    name, settings = method
    protocol = Protocol(
        batch_size=batch,
        max_tokens=256,
        padding="max",
        frozen_dropout="on",
        optimizer=OptimizerSettings(weight_decay=0.1, decay="all"),
    )
    lengths = (40,) + (26,) * (batch - 1)
    head = HeadSettings(type="linear", dropout=0.5)
    cell = Case(CONFIGS / model, find(name)(**settings), protocol, lengths, head, 3, GPUS["h100"])
    assert estimate(cell).peak_memory_bytes == pytest.approx(published, rel=0.05)


def test_our_engine_on_a_gpu_needs_less_than_padded_batches() -> None:
    def cell(padding: Any) -> Case:
        protocol = Protocol(batch_size=8, max_tokens=256, padding=padding)
        return Case(CONFIGS / "distilbert-base", find("lora")(), protocol, (40,) + (26,) * 7, gpu=GPUS["h100"])

    ours, padded = estimate(cell("none")), estimate(cell("max"))
    assert ours.peak_memory_bytes < padded.peak_memory_bytes
    assert ours.work.flops < padded.work.flops
    assert ours.total_parameters == padded.total_parameters


def test_workspaces_follow_the_generation() -> None:
    assert GPUS["h100"].workspaces == 2 * 32 * 2**20
    assert GPUS["t4"].workspaces == 2 * 8_519_680


def test_dropout_saves_a_byte_for_each_element() -> None:
    with without_data(), CudaKernels():
        x = torch.empty(10, 10, requires_grad=True)
        out = nn.functional.dropout(x, 0.1)
        saved = out.grad_fn._saved_result1  # type: ignore[union-attr]
        assert saved.dtype == torch.bool
        assert nn.functional.dropout(x, 0.1, training=False) is x


def test_names_of_gpus() -> None:
    assert find_gpu("NVIDIA H100") is GPUS["h100"]
    with pytest.raises(InputError, match="h100"):
        find_gpu("h1000")
