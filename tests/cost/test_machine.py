"""From steps that were timed to what others will take."""

from __future__ import annotations

from pathlib import Path

import pytest

from thriftune.cost import probe
from thriftune.cost.machine import Machine, Timed, fit
from thriftune.cost.work import Work

TRUE = Machine({"aten::mm": 2e-11, "aten::bmm": 1e-10}, {"aten::add": 2e-10}, 3e-11, 2e-10, 5e-6, 3e-4)
WORKS = [
    Work({"aten::mm": 10**10, "aten::bmm": 10**8}, {"aten::add": 10**8}, 300),
    Work({"aten::mm": 10**9, "aten::bmm": 10**8}, {"aten::add": 10**7}, 250),
    Work({"aten::mm": 10**8, "aten::bmm": 10**7}, {"aten::add": 10**6}, 100),
    Work({"aten::mm": 10**6}, {"aten::add": 10**5}, 50),
]


def timed(work: Work, slower: float = 1.0) -> Timed:
    """A step as a clock would see it: its operators alone, and the whole."""
    alone = {name: 2 * amount * TRUE.product[name] for name, amount in work.products.items()}
    alone |= {name: 2 * amount * TRUE.moved[name] for name, amount in work.moved.items()}
    return Timed(work, alone, 2, [slower * TRUE.seconds(work)] * 3)


def test_prices_are_found() -> None:
    found = fit([timed(work) for work in WORKS])
    assert found.product == pytest.approx(TRUE.product)
    assert found.moved == pytest.approx(TRUE.moved)
    assert (found.operation, found.step) == pytest.approx((TRUE.operation, TRUE.step))
    unseen = Work({"aten::mm": 10**9, "aten::addmm": 10**9}, {}, 2)
    assert 0.02 < found.seconds(unseen) - TRUE.seconds(Work({"aten::mm": 10**9}, {}, 2)) < 0.03, "between mm and bmm"


def test_whole_steps_decide_and_nothing_is_negative() -> None:
    found = fit([timed(work, slower=1.5) for work in WORKS], loop=1e-3)
    assert found.seconds(WORKS[0]) == pytest.approx(1.5 * TRUE.seconds(WORKS[0]) + 1e-3)
    odd = fit([timed(work, slower) for work, slower in zip(WORKS, (1.0, 0.7, 0.5, 0.1), strict=True)])
    assert min(*odd.product.values(), *odd.moved.values(), odd.operation, odd.step) >= 0


def test_a_machine_is_probed_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(probe, "STEP_SECONDS", 0.0)
    machine = probe.probe_machine("cpu", 64)
    assert machine.product["aten::mm"] > 0
    assert machine.moved["aten::_fused_adamw_"] > 0
    assert machine.seconds(WORKS[0]) > machine.seconds(WORKS[1]) > machine.seconds(WORKS[1], steps=0) * 0.99
    machine.save(tmp_path / "machine.json")
    assert Machine.load(tmp_path / "machine.json") == machine
    (tmp_path / "machine.json").write_text('{"matrix_flop": 1.0}', encoding="utf-8")
    assert Machine.load(tmp_path / "machine.json") is None
