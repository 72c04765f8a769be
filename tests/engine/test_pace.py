"""How long a training goes on, which learning rates it takes and which weights it keeps where its end is not known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.tiny_data import LABELS, examples
from tests.tiny_models import model_folder

from thriftune.engine.loop import Loop
from thriftune.engine.pace import BudgetPace, FixedPace, Look, Pace, ProbePace, Stretch, pace_of
from thriftune.engine.predict import predict
from thriftune.engine.protocol import Budget, EarlyStopping, Protocol, ScheduleSettings
from thriftune.engine.resume.sums import Answers
from thriftune.engine.train import Fit, Task, fit
from thriftune.methods import find
from thriftune.models.classifier import Classifier
from thriftune.models.pretrained.load import load_classifier
from thriftune.settings import SettingsError


def auto(schedule: ScheduleSettings | None = None, batch_size: int = 8, **budget: Any) -> Protocol:
    return Protocol(
        epochs="auto", batch_size=batch_size, budget=Budget(**budget), schedule=schedule or ScheduleSettings()
    )


def run(pace: Pace, score: Callable[[int], Look], seconds: float = 0.0) -> list[Stretch]:
    """All stretches, where validation says `score(steps done)` and a step takes so many seconds."""
    done, out = 0, []
    for stretch in pace.stretches():
        out.append(stretch)
        done += len(stretch.groups)
        if stretch.look:
            pace.looked(score(done), done * seconds)
    return out


def factors(stretches: list[Stretch]) -> np.ndarray:
    return np.concatenate([each.factors for each in stretches])


def rising_until(step: int) -> Callable[[int], Look]:
    return lambda done: Look(1.0, min(done, step) / 1000)


def test_a_budget_ends_after_patience_and_then_decays() -> None:
    pace = pace_of(auto(min_steps=40, patience=3, validate_every=10), texts=80, validation_texts=5, seed=0)
    assert isinstance(pace, BudgetPace)
    stretches = run(pace, rising_until(100))
    found = factors(stretches)
    assert pace.ended == "plateau"
    constant = 100 + 3 * 10
    np.testing.assert_allclose(found[:4], [0.25, 0.5, 0.75, 1.0])
    assert (found[4:constant] == 1).all()
    falling = found[constant:]
    assert len(falling) == pytest.approx(0.25 * constant, abs=1)
    assert falling[0] == 1
    assert (np.diff(falling) < 0).all()
    assert falling[-1] > 0
    assert [each.falls for each in stretches].count(True) == 1
    assert stretches[-1].look


def test_every_text_is_seen_in_the_order_of_a_fixed_training() -> None:
    protocol = auto(min_steps=30, patience=1, validate_every=7)
    stretches = run(pace_of(protocol, 80, 5, seed=3), rising_until(20))
    groups = [group for each in stretches for group in each.groups]
    fixed = [
        group
        for each in run(pace_of(Protocol(batch_size=8, epochs=9), 80, 5, 3), rising_until(0))
        for group in each.groups
    ]
    assert len(groups) < len(fixed)
    for mine, theirs in zip(groups, fixed, strict=False):
        np.testing.assert_array_equal(np.concatenate(mine), np.concatenate(theirs))
    ends = [each.ends_epoch for each in stretches]
    assert sum(ends) == len(groups) // 10
    assert all(len({each.epoch}) == 1 for each in stretches)


def test_a_falling_loss_is_improvement_too() -> None:
    pace = pace_of(auto(min_steps=10, patience=2, validate_every=10, max_epochs=20), 80, 5, 0)
    run(pace, lambda done: Look(10 / done, 0.5))
    assert pace.ended == "max_epochs"
    pace = pace_of(auto(min_steps=10, patience=2, validate_every=10, max_epochs=20), 80, 5, 0)
    run(pace, lambda done: Look(1 - done / 1e6, 0.5))
    assert pace.ended == "plateau"


def test_the_floor_and_the_limits_hold() -> None:
    floor = run(pace_of(auto(min_steps=200, patience=1, validate_every=10), 80, 5, 0), rising_until(0))
    assert sum(len(each.groups) for each in floor if not each.falls) >= 200
    limited = pace_of(auto(max_epochs=3, patience=50), 80, 5, 0)
    assert len(factors(run(limited, rising_until(10_000)))) == 30
    assert limited.ended == "max_epochs"
    timed = pace_of(auto(seconds=10.0, validate_every=5), 80, 5, 0)
    found = factors(run(timed, rising_until(10_000), seconds=0.1))
    assert timed.ended == "seconds"
    assert 80 <= len(found) <= 110


def test_a_constant_schedule_does_not_decay() -> None:
    pace = pace_of(auto(ScheduleSettings(type="constant"), min_steps=10, patience=1, validate_every=10), 80, 5, 0)
    assert (factors(run(pace, rising_until(0))) == 1).all()


def test_looks_are_about_an_epoch_apart_and_rarer_where_validation_is_large() -> None:
    def interval(texts: int, validation: int) -> int:
        stretches = run(pace_of(auto(), texts, validation, 0), rising_until(0))
        first = next(i for i, each in enumerate(stretches) if each.look)
        return sum(len(each.groups) for each in stretches[: first + 1])

    assert interval(40, 5) == 20
    assert interval(800, 5) == 100
    assert interval(4_000, 5) == 200
    assert interval(80_000, 5) == 2_000
    assert interval(800, 1000) == 375


def test_a_stable_schedule_of_known_length_decays_at_the_end_alone() -> None:
    protocol = Protocol(epochs=5, batch_size=8, schedule=ScheduleSettings(type="stable", warmup=0.0, decay=0.4))
    pace = pace_of(protocol, 80, 0, 0)
    assert isinstance(pace, FixedPace)
    found = factors(list(pace.stretches()))
    assert (found[:30] == 1).all()
    np.testing.assert_allclose(found[30:], np.arange(20, 0, -1) / 20)


def test_a_probe_is_short_and_looks_once() -> None:
    pace = pace_of(Protocol(batch_size=8), 80, 5, 0, probe_steps=25)
    assert isinstance(pace, ProbePace)
    stretches = run(pace, rising_until(0))
    assert [len(each.groups) for each in stretches] == [10, 10, 5]
    assert [each.look for each in stretches] == [False, False, True]
    assert factors(stretches).max() == 1


def test_what_does_not_go_with_an_open_end_is_refused() -> None:
    with pytest.raises(SettingsError, match="needs to know when training ends"):
        auto(ScheduleSettings(type="linear"))
    with pytest.raises(SettingsError, match="early_stopping: has no effect with epochs auto"):
        Protocol(epochs="auto", early_stopping=EarlyStopping())
    with pytest.raises(SettingsError, match="budget: has no effect with epochs 3"):
        Protocol(budget=Budget(patience=2))
    with pytest.raises(SettingsError, match="decay: has no effect with type linear"):
        ScheduleSettings(type="linear", decay=0.1)


def trained(tmp_path: Path, protocol: Protocol, rate: float = 1e-2, texts: int = 64) -> tuple[Classifier, Fit]:
    model = load_classifier(model_folder("bert"), LABELS)
    find("top_layers")().apply(model, torch.Generator().manual_seed(0))
    task = Task(model, examples(model, texts), examples(model, 40, seed=9), protocol, rate, 0, tmp_path / "best.st")
    return model, fit(task)


def test_the_weights_left_are_those_that_the_scores_are_of(tmp_path: Path) -> None:
    for keep in ("best", "last"):
        protocol = Protocol(epochs="auto", batch_size=8, keep=keep, budget=Budget(min_steps=40, patience=2))  # type: ignore[arg-type]
        model, result = trained(tmp_path, protocol)
        assert result.ended == "plateau"
        assert result.validation is not None
        logits = predict(model, examples(model, 40, seed=9), protocol)
        np.testing.assert_array_equal(logits, result.validation.logits)
        point = next(each for each in result.epochs if each.epoch == result.best_epoch)
        assert point.validation_accuracy == result.validation.accuracy


def test_the_last_weights_are_kept_unless_the_best_are_better_by_more_than_noise(tmp_path: Path) -> None:
    _, result = trained(tmp_path, auto(min_steps=60, patience=4, validate_every=8))
    assert result.validation is not None
    best = max(each.validation_accuracy or 0.0 for each in result.epochs)
    assert best - result.validation.accuracy < 0.3
    assert result.epochs[-1].epoch >= result.best_epoch


def test_looks_say_how_many_answers_changed_over_about_an_epoch(tmp_path: Path) -> None:
    _, result = trained(tmp_path, auto(min_steps=40, patience=2, validate_every=4))
    assert result.epochs[0].changed is None
    assert all(0 <= (each.changed or 0) <= 1 for each in result.epochs[1:])
    assert result.gain is not None
    assert result.noise is not None
    fixed = trained(tmp_path, Protocol(epochs=2, batch_size=8))[1]
    first, last = fixed.epochs
    assert (fixed.ended, fixed.gain) == ("epochs", (last.validation_accuracy or 0) - (first.validation_accuracy or 0))
    assert trained(tmp_path, Protocol(epochs=1, batch_size=8))[1].gain is None


@pytest.mark.parametrize("passed", [0.25, 1.0, 3.0])
def test_a_gain_and_its_noise_are_both_of_one_epoch(passed: float) -> None:
    """Looks that lie closer or further apart than an epoch make a gain no easier to believe."""
    first, last = np.zeros(100, dtype=np.int64), np.arange(100) % 4 // 3
    loop = Loop.__new__(Loop)
    loop.epoch_steps = 40
    loop.answers = [Answers(100, 0.5, first), Answers(100 + round(40 * passed), 0.6, last)]
    gain, noise = loop.gain()
    assert gain == pytest.approx(0.1 / passed)
    assert noise == pytest.approx(2 * 0.25**0.5 / 100**0.5 / passed)


def test_an_open_end_is_the_same_bits_again(tmp_path: Path) -> None:
    protocol = auto(min_steps=40, patience=2, validate_every=5)
    runs = [trained(tmp_path, protocol) for _ in range(2)]
    weights = [torch.cat([p.detach().flatten() for _, p in model.trained()]) for model, _ in runs]
    assert torch.equal(*weights)
    assert runs[0][1].steps == runs[1][1].steps
