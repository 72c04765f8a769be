"""Where a study stands, read from its folder alone: what is done, running, waiting, failed and left, and how long."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from thriftune.errors import InputError
from thriftune.results.files import DamagedError
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import SHORT, RunFolder
from thriftune.results.store import Store
from thriftune.study.forecast.predictor import Predictor
from thriftune.study.run.job import Job
from thriftune.study.shared.holder import Holder
from thriftune.study.shared.lease import standing
from thriftune.study.shared.notes import Note, read_notes
from thriftune.study.shared.plan_file import SharedPlan, read_plan
from thriftune.study.shared.presence import MEMBERS, living, shared_folder

State = Literal["done", "failed", "running", "waiting", "left"]
STATES: tuple[State, ...] = ("done", "failed", "running", "waiting", "left")
"""waiting: processes are at the study and will come to it; left: no process is."""


@dataclass(frozen=True)
class RunStanding:
    """One run."""

    name: str
    run_id: str
    state: State
    status: str | None = None
    """The record's, where there is one: done, failed, out_of_memory, diverged ..."""
    message: str | None = None
    """Why it failed."""
    host: str | None = None
    """Of the process that makes it."""
    pid: int | None = None
    since: float | None = None
    """When that began, seconds since 1970."""
    stage: str | None = None
    epoch: int | None = None
    epochs: int | None = None
    step: int | None = None
    steps: int | None = None
    heard: float | None = None
    """When that was noted, seconds since 1970."""
    checkpoint_step: int | None = None
    """Steps of training that are not lost, whatever happens."""
    seconds_left: float | None = None
    """By its own speed, by what the same run took with other seeds, or as predicted; None where nothing says."""
    accuracy: float | None = None


@dataclass(frozen=True)
class Standing:
    """The whole study."""

    name: str | None
    """None while a study is being prepared for the first time."""
    folder: str
    preparing: bool
    """Whether processes are at it and there is no plan yet."""
    processes: list[Holder]
    runs: list[RunStanding]
    seconds_left: float | None
    """Of training, all runs that are not done one after the other; None where that of some is not known."""
    at_once: int
    """How many runs are under way."""
    unknown: int = 0
    """Runs of which nobody knows how long they take."""
    counts: dict[str, int] = field(default_factory=dict)
    """By state."""


def study_standing(out: Path) -> Standing:
    """Where the study in a folder stands; raises `InputError` where there is none."""
    store, shared = Store(out), read_plan(out)
    now = time.time()
    processes = [each.holder for each in living(shared_folder(out) / MEMBERS, now) if each.holder is not None]
    if not store.results_path.exists():
        if not processes:
            raise InputError(f"{out} holds no study: neither results.json nor a process that prepares one.")
        return Standing(None, str(out), True, processes, [], None, 0)
    study = store.load().study
    tokens = {each.token for each in processes}
    notes = {note.run_id: note for note in read_notes(out) if note.token in tokens}
    marked = set() if shared is None else standing(shared_folder(out) / shared.session).done
    made = _records(store, [run for run in study.runs if run.run_id not in notes], marked)
    times = _Times(out, shared, list(made.values()))
    waiting: State = "waiting" if processes else "left"
    left = None if shared is None else {run.run_id for run in shared.left}
    runs = []
    for record in study.runs:
        note, found = notes.get(record.run_id), made.get(record.run_id, record)
        if note is not None:
            runs.append(_running(note, out, times.of(record)))
        elif _is_left(found, left, marked, bool(processes)):
            folder = _folder(store, record)
            steps = None if folder is None else _checkpoint(folder)
            runs.append(
                RunStanding(record.name, record.run_id, waiting, checkpoint_step=steps, seconds_left=times.of(record))
            )
        else:
            state: State = "done" if found.status == "done" else "failed"
            accuracy = found.test.accuracy if found.test is not None else None
            runs.append(RunStanding(record.name, record.run_id, state, found.status, found.message, accuracy=accuracy))
    open_ = [run for run in runs if run.state in ("running", "waiting", "left")]
    known = [run.seconds_left for run in open_ if run.seconds_left is not None]
    counts = {
        state: sum(run.state == state for run in runs) for state in ("done", "failed", "running", "waiting", "left")
    }
    return Standing(
        name=study.name,
        folder=str(out),
        preparing=bool(processes) and shared is None and bool(open_),
        processes=processes,
        runs=runs,
        seconds_left=sum(known) if known or not open_ else None,
        at_once=len(notes),
        unknown=len(open_) - len(known),
        counts={state: count for state, count in counts.items() if count},
    )


def _is_left(record: RunRecord, planned: set[str] | None, marked: set[str], busy: bool) -> bool:
    """Whether a run is still to be made: it has no result, or one that failed before and the present plan repeats."""
    if record.status == "interrupted":
        return True
    again = busy and planned is not None and record.run_id in planned and record.status != "done"
    return again and record.run_id not in marked and bool(marked)


def _running(note: Note, out: Path, expected: float | None) -> RunStanding:
    left = note.seconds_left
    if left is None and expected is not None:
        left = max(0.0, expected - (note.at - note.since))
    return RunStanding(
        name=note.name,
        run_id=note.run_id,
        state="running",
        host=note.host,
        pid=note.pid,
        since=note.since,
        stage=note.stage,
        epoch=note.epoch,
        epochs=note.epochs,
        step=note.step,
        steps=note.steps,
        heard=note.at,
        seconds_left=left,
        checkpoint_step=next((_checkpoint(path) for path in (out / "runs").glob(f"*-{note.run_id[:SHORT]}")), None),
    )


def _records(store: Store, runs: list[RunRecord], marked: set[str]) -> dict[str, RunRecord]:
    """The records of runs that are made, by id; what lies in a run's folder is newer than results.json."""
    found = {}
    folders = {path.name[-SHORT:]: path for path in store.runs_path.glob("*") if path.is_dir()}
    for run in runs:
        path = folders.get(run.run_id[:SHORT])
        if path is None or (run.status == "done" and run.run_id not in marked) or not RunFolder(path).complete:
            continue
        with suppress(DamagedError, OSError):
            record = RunFolder(path).read_record()
            if record.run_id == run.run_id:
                found[run.run_id] = record
    return found | {run.run_id: run for run in runs if run.status == "done" and run.run_id not in found}


def _folder(store: Store, record: RunRecord) -> Path | None:
    return next(iter(store.runs_path.glob(f"*-{record.run_id[:SHORT]}")), None)


def _checkpoint(folder: Path) -> int | None:
    """Steps that a run's checkpoint holds; None where it has none."""
    try:
        from thriftune.engine import resume
    except ImportError:
        return None
    info: Any = resume.found(folder)
    return None if info is None else int(info.steps)


class _Times:
    """How long runs take that are not made yet."""

    def __init__(self, out: Path, shared: SharedPlan | None, made: list[RunRecord]) -> None:
        self._jobs: dict[str, Job] = {}
        self._predictor = Predictor()
        self._cells: dict[str, list[float]] = {}
        for record in made:
            cost = record.cost
            if cost is not None:
                seconds = (cost.train_seconds, cost.prefix_seconds, cost.evaluate_seconds, cost.load_seconds)
                self._cells.setdefault(record.cell, []).append(sum(seconds))
        if shared is not None:
            with suppress(InputError):  # planned for another machine
                self._jobs = {job.run_id: job for job in shared.jobs(out)}

    def of(self, record: RunRecord) -> float | None:
        """Seconds that a run should take: what its other seeds took, else what training is predicted to take here."""
        if (took := self._cells.get(record.cell)) is not None:
            return sum(took) / len(took)
        job = self._jobs.get(record.run_id)
        if job is None or job.model is None or job.planned.method.BASELINE:
            return None
        with suppress(OSError, InputError):  # what the prediction reads goes when the study ends
            return self._predictor.seconds(job)
        return None
