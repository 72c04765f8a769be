"""Smaller batches where the study's run out of memory: the same texts per step, and it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.study.small_study import ALL_METHODS, small_study

from thriftune.engine.step import Step
from thriftune.errors import InputError
from thriftune.results.store import Store
from thriftune.results.training import FittedBatch
from thriftune.study.events import Event, Notice
from thriftune.study.execute import compare


@pytest.mark.parametrize(
    ("size", "accumulate", "then"),
    [
        (32, 1, [(16, 2), (8, 4), (4, 8), (2, 16), (1, 32)]),
        (16, 2, [(8, 4), (4, 8), (2, 16), (1, 32)]),
        (25, 1, [(5, 5), (1, 25)]),
        (25, 2, [(10, 5), (5, 10), (2, 25), (1, 50)]),
        (7, 1, [(1, 7)]),
        (1, 4, []),
    ],
)
def test_a_step_has_as_many_texts_with_any_batch(size: int, accumulate: int, then: list[tuple[int, int]]) -> None:
    batch: FittedBatch | None = FittedBatch(size, accumulate)
    found = []
    while (batch := None if batch is None else batch.smaller()) is not None:
        found.append((batch.batch_size, batch.accumulate))
        assert batch.batch_size * batch.accumulate == size * accumulate
    assert found == then
    assert FittedBatch(8, 4).words == "batch 32 as 4 x 8"


def _small_memory(monkeypatch: pytest.MonkeyPatch, most: int, error: type[Exception]) -> list[int]:
    """Batches of more texts than `most` run out of memory; the sizes of those that did not."""
    seen: list[int] = []
    forward = Step.forward

    def limited(self: Step, indices: Any) -> Any:
        if len(indices) > most:
            raise error("CUDA out of memory. Tried to allocate 2 GiB")
        seen.append(len(indices))
        return forward(self, indices)

    monkeypatch.setattr(Step, "forward", limited)
    return seen


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError])
def test_an_out_of_memory_run_is_tried_with_smaller_batches(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protocol = {"epochs": 2, "batch_size": 12, "max_tokens": 32, "device": "cpu", "schedule": {"warmup": 0}}
    methods = [ALL_METHODS[6]]
    study = small_study(tmp_path, methods=methods, protocol=protocol)
    (plain,) = compare(study, tmp_path / "plain", isolate=False).runs
    study = small_study(tmp_path, methods=methods, protocol={**protocol, "fit_batch": True})
    seen = _small_memory(monkeypatch, 3, error)
    events: list[Event] = []
    (run,) = compare(study, tmp_path / "out", events.append, isolate=False).runs
    assert run.status == "done", run.message
    assert max(seen) == 3
    assert run.run_id == plain.run_id, "the run is the one that was asked for"
    assert run.protocol == plain.protocol
    assert run.fitted_batch == FittedBatch(3, 4)
    assert any("batch 12 as 4 x 3" in note for note in run.notes)
    said = [event.text for event in events if isinstance(event, Notice)]
    assert "full ran out of memory with batch 12 as 1 x 12; again as batch 12 as 2 x 6." in said
    assert run.training is not None
    assert plain.training is not None
    assert run.training.steps == plain.training.steps
    results = [Store(tmp_path / name).load() for name in ("plain", "out")]
    (one, _), (other, _) = (each.history(each.runs[0]) for each in results)
    for before, now in zip(one, other, strict=True):
        assert now.loss == pytest.approx(before.loss, rel=0.2), "dropout alone differs"
    folder = Store(tmp_path / "out").run(run.run_id)
    assert not folder.fitted_path.exists()
    assert not folder.checkpoint_path.exists()


def test_without_it_and_where_no_batch_is_small_enough_the_run_is_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _small_memory(monkeypatch, 0, MemoryError)
    protocol = {"epochs": 1, "batch_size": 4, "max_tokens": 32, "device": "cpu"}
    for fit, fitted in ((False, None), (True, FittedBatch(1, 4))):
        study = small_study(tmp_path, methods=["full"], protocol={**protocol, "fit_batch": fit})
        (run,) = compare(study, tmp_path / "out", isolate=False).runs
        assert (run.status, run.fitted_batch) == ("out_of_memory", fitted)


def test_it_has_no_effect_with_batches_of_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fit_batch: has no effect with batch_size 1"):
        small_study(tmp_path, protocol={"batch_size": 1, "fit_batch": True})
