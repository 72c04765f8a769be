"""From steps that were timed to what others will take."""

from __future__ import annotations

from pathlib import Path

import pytest

from thriftune.cost.predicted import probe
from thriftune.cost.predicted.machine import Machine, Timed, fit
from thriftune.cost.predicted.work import NARROW, Work

TRUE = Machine(
    call={"aten::mm": 1e-5, "aten::bmm": 2e-5, "aten::add": 5e-6, "aten::div": 4e-6},
    unit={"aten::mm": 2e-11, "aten::bmm": 1e-10, "aten::add": 2e-10},
    other_call=5e-6,
    other_flop=3e-11,
    other_byte=2e-10,
    step=3e-4,
)


def work(mm: int, bmm: int, add: int, calls: int) -> Work:
    names = ("aten::mm", "aten::bmm", "aten::add", "aten::div")
    return Work({"aten::mm": mm, "aten::bmm": bmm}, {"aten::add": add, "aten::div": 8}, dict.fromkeys(names, calls))


WORKS = [
    work(10**10, 10**8, 10**8, 40),
    work(10**10, 10**9, 10**8, 10),
    work(10**9, 10**8, 10**7, 20),
    work(10**7, 10**7, 10**6, 1),
]


def timed(work: Work, slower: float = 1.0) -> Timed:
    """A step as a clock would see it: its operators alone, and the whole."""
    alone = {name: count * TRUE.call[name] for name, count in work.calls.items()}
    for name, amount in (*work.products.items(), *work.moved.items()):
        alone[name] += amount * TRUE.unit.get(name, 0.0)
    return Timed(work, alone, [slower * TRUE.seconds(work)] * 3)


def test_prices_are_found() -> None:
    found = fit([timed(each) for each in WORKS])
    assert {name: found.unit[name] for name in TRUE.unit} == pytest.approx(TRUE.unit, rel=1e-3)
    assert found.call == pytest.approx(TRUE.call, rel=1e-3)
    assert found.step == pytest.approx(TRUE.step, rel=1e-3)
    assert found.unit["aten::div"] == found.other_byte, "a few bytes tell nothing of many"
    unseen = Work({"aten::addmm": 10**9}, {}, {"aten::addmm": 1})
    assert TRUE.unit["aten::mm"] < found.seconds(unseen, steps=0) / 1e9 < TRUE.unit["aten::bmm"]


def test_whole_steps_decide_and_nothing_is_negative() -> None:
    found = fit([timed(each, slower=1.5) for each in WORKS], loop=1e-3)
    for each in WORKS:
        assert found.seconds(each) == pytest.approx(1.5 * TRUE.seconds(each) + 1e-3, rel=1e-3)
    odd = fit([timed(each, slower) for each, slower in zip(WORKS, (1.0, 0.7, 0.5, 0.1), strict=True)])
    assert min(*odd.call.values(), *odd.unit.values(), odd.step) >= 0


def test_a_machine_is_probed_kept_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "ENOUGH_SECONDS", 0.0)
    monkeypatch.setattr(probe, "STEP_SECONDS", 0.0)
    machine = probe.probe_machine("cpu", 64)
    assert machine.call.keys() >= {"aten::mm", "aten::_fused_adamw_"}
    assert machine.seconds(WORKS[0]) > machine.seconds(WORKS[3]) > 0
    quick = probe.probe_machine("cpu", 64, quick=True)
    assert quick.call.keys() >= {"aten::mm", "aten::_fused_adamw_"}
    assert quick.seconds(WORKS[0]) > quick.seconds(WORKS[3]) > 0
    machine.save(tmp_path / "machine.json")
    assert Machine.load(tmp_path / "machine.json") == machine
    (tmp_path / "machine.json").write_text('{"matrix_flop": 1.0}', encoding="utf-8")
    assert Machine.load(tmp_path / "machine.json") is None


def test_a_share_of_every_price() -> None:
    machine = Machine({"aten::mm": 2.0}, {"aten::mm": 4.0}, 6.0, 8.0, 10.0, 12.0)
    assert machine.scaled(0.5) == Machine({"aten::mm": 1.0}, {"aten::mm": 2.0}, 3.0, 4.0, 5.0, 6.0)


def test_products_of_bfloat16_take_half_as_long_and_attention_as_long() -> None:
    machine = Machine(
        call={"thriftune::wide": 1e-6},
        unit={"thriftune::wide": 2e-9, "thriftune::attention": 3e-9},
        other_call=1e-3,
        other_flop=1e-3,
        other_byte=0.0,
        step=0.0,
    )
    whole = Work({"thriftune::wide": 1000, "thriftune::attention": 100}, {}, {"thriftune::wide": 2})
    narrow = Work(
        {f"thriftune::wide{NARROW}": 1000, f"thriftune::attention{NARROW}": 100}, {}, {f"thriftune::wide{NARROW}": 2}
    )
    assert machine.seconds(whole, 0) == pytest.approx(2e-6 + 2e-6 + 3e-7)
    assert machine.seconds(narrow, 0) == pytest.approx(2e-6 + 1e-6 + 3e-7)
