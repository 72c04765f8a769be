"""A training that broke off and was taken up again ends as one that did not: bit for bit."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.engine.resume.interrupted import check_same, checkpoints_in, trained

from thriftune.engine.protocol import Budget, EarlyStopping, OptimizerSettings, Protocol, ScheduleSettings

FIXED = Protocol(epochs=3, batch_size=8, max_tokens=32, device="cpu", optimizer=OptimizerSettings(weight_decay=0.1))
AUTO = replace(FIXED, epochs="auto", budget=Budget(min_steps=6, patience=2, validate_every=4, max_epochs=3))
RANKS = {"init_r": 4, "target_r": 2, "tinit": 2, "tfinal": 3, "deltaT": 2}
ADALORA: dict[str, Any] = {"type": "ADALORA", "config": RANKS}
CASES: dict[str, tuple[str, dict[str, Any], Protocol]] = {
    "full": ("full", {}, FIXED),
    "full auto": ("full", {}, AUTO),
    "full, frozen words narrowed, last weights": ("full", {}, replace(FIXED, keep="last")),
    "top layers": ("top_layers", {"layers": 1}, replace(AUTO, frozen_dropout="on")),
    "lora": ("lora", {"rank": 2}, replace(FIXED, accumulate=2)),
    "lora auto": ("lora", {"layers": "top 1"}, AUTO),
    "adalora": ("peft", ADALORA, FIXED),
    "adalora auto": ("peft", {**ADALORA, "config": {**RANKS, "total_step": 16}}, AUTO),
    "ia3": ("peft", {"type": "IA3"}, replace(FIXED, padding="longest")),
    "head only": ("head_only", {}, replace(FIXED, schedule=ScheduleSettings(type="plateau", patience=0))),
    "bitfit": ("bitfit", {}, replace(FIXED, epochs=4, early_stopping=EarlyStopping(patience=2))),
    "recomputed": ("full", {}, replace(FIXED, epochs=1, recompute="layers")),
}


@pytest.mark.parametrize("case", CASES)
def test_interrupted_twice_it_ends_as_if_it_had_not_been(case: str, tmp_path: Path) -> None:
    method, settings, protocol = CASES[case]
    whole = trained(tmp_path, method, settings, protocol)
    last = whole[1].epochs[-1].step
    dice = random.Random(case)
    written = sorted(dice.sample(range(1, last), 3 if last > 4 else 2))
    ends = [dice.randint(place + 1, last) for place in written[:2]]
    for at in sorted(ends):
        with pytest.raises(KeyboardInterrupt):
            trained(
                tmp_path,
                method,
                settings,
                protocol,
                written_at=written,
                ends_at=at,
                checkpoints=checkpoints_in(tmp_path, protocol),
            )
    (tmp_path / "epoch.safetensors").unlink(missing_ok=True)
    checkpoints = checkpoints_in(tmp_path, protocol)
    assert checkpoints.resuming
    check_same(whole, trained(tmp_path, method, settings, protocol, checkpoints=checkpoints, written_at=written))
    assert checkpoints.reached.resumed in (1, 2)
    assert checkpoints.reached.uncounted > 0
    assert not [path.name for path in tmp_path.iterdir() if path.name != "checkpoint"]
