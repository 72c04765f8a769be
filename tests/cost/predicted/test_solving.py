"""What solving a head is predicted to cost."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.tiny_data import LABELS
from tests.tiny_models import model_folder

from thriftune.cost.measured.memory import peak_of
from thriftune.cost.predicted.estimate import Case, estimate, peak_bytes
from thriftune.cost.predicted.solving import added, scaled
from thriftune.cost.predicted.work import Work
from thriftune.engine.protocol import Protocol
from thriftune.engine.solved.solve import Labelled, Problem, live_bytes
from thriftune.methods import find
from thriftune.models.head import HeadSettings


@pytest.mark.parametrize(
    ("texts", "width", "classes", "validation"),
    [(400, 32, 3, 100), (100, 384, 77, 20), (2000, 64, 150, 0), (9000, 48, 20, 500), (3000, 16, 200, 10)],
)
def test_the_solvers_memory_is_predicted(texts: int, width: int, classes: int, validation: int) -> None:
    def labelled(count: int) -> Labelled:
        return Labelled(torch.randn(count, width), torch.arange(count) % classes)

    train, others = labelled(texts), labelled(validation)
    held = [train.features, train.labels, others.features, others.labels]
    measured = peak_of(held, lambda: Problem(train, classes, intercept=True).probe())
    assert live_bytes(texts, width, classes, validation) == pytest.approx(measured, rel=0.05)


def cell(method: str, head: Any = "mean", texts: int = 5000, **settings: Any) -> Case:
    chosen = find(method)(head_start="solved", **settings)
    lengths = (12, 10, 9, 8)
    return Case(
        model_folder("bert"),
        chosen,
        Protocol(batch_size=4),
        lengths,
        HeadSettings(type=head),
        3,
        texts=texts,
        validation=100,
    )


def test_a_solved_head_has_no_steps_and_its_own_peak() -> None:
    found = estimate(cell("head_only"))
    assert found.solve_texts == 5000
    assert found.memory.gradients == found.memory.optimizer == 0
    assert sum(vars(found.memory).values()) == found.peak_memory_bytes == peak_bytes(cell("head_only"))
    assert found.flops_per_sample == found.solve_work.flops / 5000 > 0
    assert len(LABELS) == 3


def test_a_head_with_more_to_train_has_steps_too() -> None:
    found = estimate(cell("head_only", head="own"))
    assert found.solve_texts == 0
    assert found.solve_work.flops > 0
    assert found.flops_per_sample == found.work.flops / found.texts


def test_the_larger_peak_counts() -> None:
    few, many = estimate(cell("full", texts=8)), estimate(cell("full", texts=200_000))
    assert few.memory.optimizer > 0
    assert many.memory.optimizer == 0
    assert many.peak_memory_bytes > few.peak_memory_bytes


def test_without_data_the_solver_is_left_out() -> None:
    assert estimate(cell("head_only", texts=0)).solve_work == Work()


def test_work_adds_up_and_scales() -> None:
    one, two = Work({"a": 4}, {"b": 2}, {"a": 1}), Work({"a": 1, "c": 5}, {}, {"c": 2})
    assert added(one, two) == Work({"a": 5, "c": 5}, {"b": 2}, {"a": 1, "c": 2})
    assert scaled(one, 1.5) == Work({"a": 6}, {"b": 3}, {"a": 2})
