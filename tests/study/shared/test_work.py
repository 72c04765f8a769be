"""Processes that make one study's runs from its folder."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.study.crew.jobs import Slowly
from tests.study.small_study import ALL_METHODS, small_study

from thriftune.errors import InputError
from thriftune.results.store import Results, Store
from thriftune.study import execute
from thriftune.study.events import Event, RunFinished, StudyPlanned
from thriftune.study.file.config import Study, study_to_yaml
from thriftune.study.run.process import FORKS, warm_up
from thriftune.study.run.worker import execute as execute_here
from thriftune.study.shared.standing import study_standing
from thriftune.study.shared.work import How, Worked, work


def here(job: Any, emit: Any, variables: Any, stop: Any) -> Any:
    """A run in this process."""
    return execute_here(job, emit)


def baselines(folder: Path, count: int = 2) -> Study:
    runs = [{"name": f"b{number}", "method": {"tfidf": {"regularization": 1.0 + number}}} for number in range(count)]
    return small_study(folder, models=None, protocol=None, methods=None, runs=runs)


def works(folder: Path, seconds: float) -> None:
    """One of several processes."""
    how = How(lease_seconds=4.0, look_seconds=0.1, make=Slowly(folder / "log", seconds))
    work(baselines(folder, 8), folder / "out", how=how, finish=lambda results: (folder / "finished").touch())


def test_four_processes_two_of_them_killed(tmp_path: Path) -> None:
    study = baselines(tmp_path, 8)  # writes the data
    warm_up()
    context = multiprocessing.get_context("forkserver" if FORKS else "spawn")
    processes = [context.Process(target=works, args=(tmp_path, 0.5)) for _ in range(4)]
    for process in processes:
        process.start()
    log = tmp_path / "log"
    until = time.monotonic() + 120
    while (not log.exists() or log.read_text().count("began") < 4) and time.monotonic() < until:
        time.sleep(0.02)
    killed = list({int(line.split()[2]) for line in log.read_text().splitlines() if line.startswith("began")})[:2]
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    for process in processes:
        process.join(120)
    assert sorted(process.exitcode or 0 for process in processes) == [-9, -9, 0, 0]
    ended = re.findall(r"ended (\w+)", log.read_text())
    results = Store(tmp_path / "out").load()
    assert sorted(ended) == sorted(run.run_id for run in results.runs)
    assert [run.status for run in results.runs] == ["done"] * 8
    assert [run.name for run in results.runs] == [run.name for run in execute.plan(study)]
    assert (tmp_path / "finished").exists()
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


class TestAlone:
    def work(self, tmp_path: Path, events: list[Event] | None = None, **how: Any) -> Worked:
        heard = [] if events is None else events
        return work(baselines(tmp_path), tmp_path / "out", heard.append, How(make=here, **how))

    def test_runs_may_be_left_to_other_processes(self, tmp_path: Path) -> None:
        heard: list[Event] = []
        found = self.work(tmp_path, heard, only=("b0",))
        assert [run.name for run in found.made] == ["b0"]
        assert (found.left, found.elsewhere, found.last) == (0, 1, False)
        planned = next(event for event in heard if isinstance(event, StudyPlanned))
        assert planned.names == ["b0"]
        assert set(planned.run_ids) == {"b0"}, "trackers are told of them by these"
        found = self.work(tmp_path, without=("b0",))
        assert [run.name for run in found.made] == ["b1"]
        assert found.last
        assert sorted(run.name for run in found.results.runs) == ["b0", "b1"]
        with pytest.raises(InputError, match="matches no run"):
            self.work(tmp_path, only=("b7",))

    def test_it_leaves_what_compare_leaves(self, tmp_path: Path) -> None:
        found = self.work(tmp_path)
        assert (found.left, found.last, [run.status for run in found.made]) == (0, True, ["done", "done"])
        other = execute.compare(baselines(tmp_path), tmp_path / "other", isolate=False)
        assert [run.test for run in found.results.runs] == [run.test for run in other.runs]
        names = {path.name for path in other.store.path.iterdir()}
        assert {path.name for path in found.results.store.path.iterdir()} == names

    def test_done_runs_are_taken_as_they_are_and_failed_ones_made_again(self, tmp_path: Path) -> None:
        def fails(job: Any, emit: Any, variables: Any, stop: Any) -> Any:
            raise_ = job.planned.name == "b1"
            return execute_here(job if not raise_ else _broken(job), emit)

        found = work(baselines(tmp_path), tmp_path / "out", how=How(make=fails))
        assert [run.status for run in found.results.runs] == ["done", "failed"]
        assert study_standing(tmp_path / "out").counts == {"done": 1, "failed": 1}
        again = self.work(tmp_path)
        assert [run.name for run in again.made] == ["b1"]
        assert [run.status for run in again.results.runs] == ["done", "done"]
        assert self.work(tmp_path).made == []

    def test_a_run_that_another_has_is_left_to_it(self, tmp_path: Path) -> None:
        events: list[Event] = []

        def beside(event: Event) -> None:
            events.append(event)
            if isinstance(event, RunFinished) and len([e for e in events if isinstance(e, RunFinished)]) == 1:
                assert study_standing(tmp_path / "out").counts == {"done": 1, "waiting": 1}
                with pytest.raises(InputError, match="another study"):
                    work(baselines(tmp_path, 3), tmp_path / "out", how=How(make=here))
                with pytest.raises(InputError, match="is at the study"):
                    execute.compare(baselines(tmp_path), tmp_path / "out", isolate=False)
                found = work(baselines(tmp_path), tmp_path / "out", how=How(make=here, wait=False))
                assert [run.name for run in found.made] == ["b1"]

        found = work(baselines(tmp_path), tmp_path / "out", beside, How(make=here))
        assert len(found.made) == 1
        assert [run.status for run in Store(tmp_path / "out").load().runs] == ["done", "done"]

    def test_an_interrupt_gives_up_what_it_has(self, tmp_path: Path) -> None:
        def interrupt(*given: Any) -> Any:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work(baselines(tmp_path), tmp_path / "out", how=How(make=interrupt))
        found = study_standing(tmp_path / "out")
        assert (found.counts, found.processes) == ({"left": 2}, [])
        assert not (tmp_path / "out" / ".work").exists()
        assert [run.status for run in self.work(tmp_path).made] == ["done", "done"]

    def test_bad_settings_leave_nothing(self, tmp_path: Path) -> None:
        for how in (How(lease_seconds=0.1), How(workers=0)):
            with pytest.raises(InputError, match="takes"):
                work(baselines(tmp_path), tmp_path / "out", how=how)
        with pytest.raises(InputError, match="no study"):
            study_standing(tmp_path / "out")
        with pytest.raises(InputError):
            work(
                small_study(tmp_path, models=None, protocol=None, methods=["tfidf"], data={"label": "none"}),
                tmp_path / "out",
            )
        assert not (tmp_path / "out").exists()


def _broken(job: Any) -> Any:
    from dataclasses import replace

    return replace(job, splits={name: path.with_name("gone") for name, path in job.splits.items()})


def test_status_of_a_study_that_runs_here(tmp_path: Path) -> None:
    from thriftune.cli.status import lines

    seen: list[str] = []

    def look(event: Event) -> None:
        if isinstance(event, RunFinished):
            seen.extend(lines(study_standing(tmp_path / "out"), time.time()))

    execute.compare(baselines(tmp_path), tmp_path / "out", look, isolate=False)
    text = "\n".join(seen)
    assert re.search(r"2 runs, 1 running, 1 waiting|2 runs, 1 waiting, 1 done", text), text
    assert f"At it: compare on {os.uname().nodename}, process {os.getpid()}" in text
    after = lines(study_standing(tmp_path / "out"), time.time())
    assert after[0].endswith("2 runs, 2 done.")
    assert len(after) == 3


@pytest.mark.slow
def test_real_trainings_go_on_where_a_killed_process_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    protocol = {"epochs": 40, "batch_size": 8, "max_tokens": 32, "device": "cpu"}
    study = small_study(tmp_path, methods=ALL_METHODS[3:6], seeds=[0, 1], protocol=protocol)
    (tmp_path / "study.yaml").write_text(study_to_yaml(study), encoding="utf-8")
    reference = execute.compare(study, tmp_path / "alone")
    command = [sys.executable, "-m", "thriftune", "work", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")]
    command += ["--lease", "6"]
    processes = [subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for _ in range(4)]
    until = time.monotonic() + 240
    running: list[int | None] = []
    while len(running) < 4 and time.monotonic() < until and all(each.poll() is None for each in processes):
        time.sleep(0.1)
        with suppress(InputError):  # nobody is there yet
            running = [run.pid for run in study_standing(tmp_path / "out").runs if run.state == "running"]
    for process in processes[:2]:
        process.kill()
    codes = [process.wait(240) for process in processes]
    assert codes == [-9, -9, 0, 0]
    found: Results = Store(tmp_path / "out").load()
    assert [(run.name, run.status, run.test) for run in found.runs] == [
        (run.name, "done", run.test) for run in reference.runs
    ]
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / ".work").exists()
