"""What `learning_rate: auto` takes of the rates that it tries."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.study.small_study import small_study

from thriftune.engine.protocol import Budget, Protocol
from thriftune.study.execute import compare
from thriftune.study.run.rate_search import highest_good, probe_steps


@pytest.mark.parametrize(
    ("losses", "rate"),
    [
        ({1e-5: 0.9, 1e-4: 0.50, 1e-3: 0.54}, 1e-3),
        ({1e-5: 0.9, 1e-4: 0.50, 1e-3: 0.56}, 1e-4),
        ({1e-5: 0.5, 1e-4: 0.9, 1e-3: 7.0}, 1e-5),
        ({1e-4: 2.0}, 1e-4),
    ],
)
def test_the_highest_rate_that_is_close_to_the_best(losses: dict[float, float], rate: float) -> None:
    assert highest_good(losses) == rate


def test_probes_are_a_third_of_the_floor_and_short() -> None:
    assert probe_steps(Protocol(epochs=2, batch_size=10), 100) == 7
    assert probe_steps(Protocol(epochs=50, batch_size=10), 1000) == 100
    assert probe_steps(Protocol(epochs="auto", batch_size=10, budget=Budget(min_steps=60)), 1000) == 20
    assert probe_steps(Protocol(epochs=1, batch_size=100), 100) == 1


def test_a_run_says_what_it_tried_and_trains_with_one_of_them(tmp_path: Path) -> None:
    study = small_study(
        tmp_path,
        methods=[{"head_only": {"learning_rate": "auto"}}],
        protocol={"epochs": "auto", "budget": {"min_steps": 15, "patience": 1}, "batch_size": 16, "max_tokens": 24},
    )
    (run,) = compare(study, tmp_path / "out", isolate=False).runs
    assert run.status == "done", run.message
    assert [point.learning_rate for point in run.search] == [1e-3, 3e-3, 1e-2]
    assert {point.steps for point in run.search} == {5}
    assert run.learning_rate in (1e-3, 3e-3, 1e-2)
    assert run.training is not None
    assert run.training.ended in ("plateau", "max_epochs")
    assert run.cost is not None
    assert run.cost.train_seconds > sum(point.train_seconds for point in run.search)
    assert run.cost.search_seconds == pytest.approx(sum(point.train_seconds for point in run.search))


def test_a_last_rate_that_diverges_leaves_the_best_ones_model(tmp_path: Path) -> None:
    """No candidate's weights are there any more when it ends: they are loaded anew."""
    runs = []
    for rates in ([1e-2, 1e30], [1e-2]):
        study = small_study(tmp_path, methods=[{"full": {"learning_rate": rates}}])
        runs += compare(study, tmp_path / f"out-{len(rates)}", isolate=False).runs
    searched, alone = runs
    assert (searched.status, alone.status) == ("done", "done"), searched.message
    assert searched.learning_rate == 1e-2
    assert any("1e+30 diverged" in note for note in searched.notes)
    assert searched.test == alone.test
