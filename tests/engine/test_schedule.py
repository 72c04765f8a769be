"""How many steps a training is expected to take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from thriftune.engine.protocol import Budget, Protocol, ScheduleSettings
from thriftune.engine.schedule import expected_steps


def test_a_number_of_epochs_is_exact() -> None:
    assert expected_steps(Protocol(epochs=3, batch_size=32), 1_000) == 96


def test_auto_is_a_guess_within_the_budget() -> None:
    auto = Protocol(epochs="auto", batch_size=16)
    assert expected_steps(auto, 100) == 375, "min_steps, and the decay"
    assert expected_steps(auto, 1_000) == 1103, "14 epochs of 63 steps, and the decay"
    assert expected_steps(auto, 10) == 60, "max_epochs"
    constant = Protocol(epochs="auto", batch_size=16, schedule=ScheduleSettings(type="constant"))
    assert expected_steps(constant, 100) == 300


@given(texts=st.integers(1, 10**6), batch=st.integers(1, 64), most=st.integers(1, 100), floor=st.integers(1, 5000))
def test_never_more_than_the_budget_allows(texts: int, batch: int, most: int, floor: int) -> None:
    protocol = Protocol(epochs="auto", batch_size=batch, budget=Budget(max_epochs=most, min_steps=floor))
    epoch = -(-texts // batch)
    found = expected_steps(protocol, texts)
    assert 1 <= found <= epoch * most
    assert found >= min(floor, epoch * most)
