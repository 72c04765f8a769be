"""Several runs at once on one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.crew.jobs import Making, job
from tests.study.small_study import ALL_METHODS, small_study

from thriftune.errors import InputError
from thriftune.results.run_folder import RunFolder
from thriftune.study import execute
from thriftune.study.crew import places
from thriftune.study.crew.choose import crew_of
from thriftune.study.crew.places import Memory, Place, checked
from thriftune.study.crew.serial import Serial
from thriftune.study.crew.workers import Workers
from thriftune.study.events import Event, Notice, RunFinished, RunProgress, RunStarted


def crew(making: Making, count: int = 2, **memory: Any) -> Workers:
    return Workers(making, [Place(1)] * count, Memory(free=lambda: memory.get("free")))


class TestPlaces:
    def test_processors_are_shared_out(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(places, "usable_processors", lambda: 8)
        monkeypatch.setattr(places, "visible_gpus", list)
        assert [place.threads for place in places.places(3)] == [2, 2, 2]
        assert [place.threads for place in places.places(9)] == [1] * 9
        assert places.places(1) == [Place(None)]
        assert len(places.places("auto")) == 2
        assert places.places(2)[0].variables == {"POLARS_MAX_THREADS": "4"}

    def test_a_gpu_each(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(places, "visible_gpus", lambda: ["0", "3"])
        found = places.places("auto")
        assert [place.gpu for place in found] == ["0", "3"]
        assert [place.variables["CUDA_VISIBLE_DEVICES"] for place in found] == ["0", "3"]
        assert [place.gpu for place in places.places(3)] == ["0", "3", None]
        assert not Place(1).takes(job(tmp_path, 1, "cuda"), gpus=True)
        assert Place(1).takes(job(tmp_path, 1, "cpu"), gpus=True)

    @pytest.mark.parametrize("given", ["0", "-1", "many", "1.5", "", 0, 5000, True, None])
    def test_what_is_no_count(self, given: object) -> None:
        with pytest.raises(InputError, match="--workers takes a number"):
            checked(given)

    def test_one_worker_is_the_serial_crew(self) -> None:
        assert isinstance(crew_of("1", None), Serial)
        assert isinstance(crew_of(4, None, isolate=False), Serial)


class TestWorkers:
    def test_each_run_once_and_several_at_once(self, tmp_path: Path) -> None:
        making, events = Making(), list[Event]()
        jobs = [job(tmp_path, number) for number in range(5)]
        found = list(crew(making, 3).records(jobs, lambda each: each, events.append))
        assert sorted(each.run_id for each, _ in found) == [each.run_id for each in jobs]
        assert all(given in jobs for given, _ in found)
        assert making.most == 3
        assert [event.index for event in events if isinstance(event, RunStarted)] == [1, 2, 3, 4, 5]
        assert sum(isinstance(event, RunProgress) for event in events) == 5
        assert {threads for _, _, threads in making.seen} == {1}

    def test_costs_say_who_ran_beside(self, tmp_path: Path) -> None:
        jobs = [job(tmp_path, number) for number in range(2)]
        for given, record in crew(Making()).records(jobs, lambda each: each, lambda event: None):
            assert record.cost is not None
            assert record.cost.runs_beside == 1
            assert record.notes[-1].startswith("Measured beside 1 other run")
            assert RunFolder(given.out).read_record() == record
        (alone,) = crew(Making()).records([job(tmp_path, 7)], lambda each: each, lambda event: None)
        assert alone[1].cost is not None
        assert alone[1].cost.runs_beside == 0

    def test_no_more_at_once_than_memory_holds(self, tmp_path: Path) -> None:
        making, events = Making(), list[Event]()
        jobs = [job(tmp_path, number) for number in range(3)]
        found = list(crew(making, 3, free=600_000_000).records(jobs, lambda each: each, events.append))
        assert (len(found), making.most) == (3, 1)
        (said,) = [event.text for event in events if isinstance(event, Notice)]
        assert said.startswith("1 run at once instead of 3, as far as memory goes: run 1 would need about 500.0 MB")

    def test_an_end_ends_all(self, tmp_path: Path) -> None:
        making = Making(seconds=60)

        def interrupt(event: Event) -> None:
            if isinstance(event, RunProgress) and making.at_once == 2:
                raise KeyboardInterrupt

        records: Iterator[Any] = crew(making).records(
            [job(tmp_path, number) for number in range(4)], lambda each: each, interrupt
        )
        with pytest.raises(KeyboardInterrupt):
            next(records)
        assert (making.at_once, len(making.ended)) == (0, 2)

    def test_what_a_thread_raises_ends_the_study(self, tmp_path: Path) -> None:
        def breaks(*given: Any) -> Any:
            raise OSError("no space left on device")

        with pytest.raises(OSError, match="no space"):
            list(Workers(breaks, [Place(1)] * 2).records([job(tmp_path, 1)], lambda each: each, lambda event: None))


def test_a_study_of_baselines_with_real_processes(tmp_path: Path) -> None:
    study = small_study(tmp_path, models=None, protocol=None, methods=["majority", "tfidf"])
    events: list[Event] = []
    found = execute.compare(study, tmp_path / "out", events.append, workers=2)
    assert [run.status for run in found.runs] == ["done", "done"]
    assert len([event for event in events if isinstance(event, RunFinished)]) == 2
    assert not (tmp_path / "out" / ".work").exists()
    serial = execute.compare(study, tmp_path / "serial", isolate=False)
    assert [run.test for run in found.runs] == [run.test for run in serial.runs]


@pytest.mark.slow
def test_results_equal_those_of_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = small_study(tmp_path, methods=ALL_METHODS[1:6], seeds=[0, 1])
    serial = execute.compare(study, tmp_path / "serial")
    found = execute.compare(study, tmp_path / "several", workers=3)
    for one, other in zip(serial.runs, found.runs, strict=True):
        assert (one.name, one.status, one.test, one.validation) == (other.name, "done", other.test, other.validation)
        for name in ("predictions/test.parquet", "predictions/validation.parquet", "embeddings.npy"):
            own, others = (each.store.run(one.run_id).path / name for each in (serial, found))
            assert own.exists() == others.exists()
            assert not own.exists() or own.read_bytes() == others.read_bytes()
    assert os.environ["OMP_NUM_THREADS"] == "1"
