"""`thriftune work`: one of several processes, on one machine or many, that make the runs of one study in one folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from thriftune.endings import interruptible
from thriftune.errors import InputError
from thriftune.results.files import delete
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.results.storage.errors import UnwritableError, unwritable
from thriftune.results.storage.temporary import sweep
from thriftune.results.store import Results, Store
from thriftune.study.board import SHARE, Board
from thriftune.study.crew.leases import LeaseCrew, Leased
from thriftune.study.crew.places import checked, places
from thriftune.study.crew.workers import Workers
from thriftune.study.events import Listener, Notice, RunFinished, Stage, StudyPlanned
from thriftune.study.execute import study_runs
from thriftune.study.file.config import Study
from thriftune.study.file.plan import plan
from thriftune.study.file.selection import select
from thriftune.study.folder import WORK, check_folder
from thriftune.study.forecast.predictor import Predictor
from thriftune.study.run.job import Job
from thriftune.study.run.process import run_in_process, warm_up
from thriftune.study.runs import predicting
from thriftune.study.shared.holder import LEASE_SECONDS, LEAST_SECONDS, MOST_SECONDS
from thriftune.study.shared.lease import Leases
from thriftune.study.shared.notes import noting
from thriftune.study.shared.plan_file import SharedPlan, plan_path, read_plan, write_plan
from thriftune.study.shared.presence import Presence, at_work_in, living, named, shared_folder

POLL_SECONDS = 1.0
FINISH = "finish"
"""Whoever has its lease writes the results for the last time."""
Finish = Callable[[Results], None]
"""What the last process does with the results: analysis and page."""


@dataclass(frozen=True)
class Worked:
    """How a process's work ended."""

    made: list[RunRecord]
    """What it made itself."""
    left: int
    """Runs that others are still making."""
    results: Results
    last: bool = False
    """Whether it was the one that finished the study."""
    elsewhere: int = 0
    """Runs that it was not to make, and that are not made yet."""


@dataclass(frozen=True)
class How:
    """How a process works."""

    workers: int | str = 1
    only: tuple[str, ...] = ()
    """Runs that this process makes alone, see `select`; the others stay for other processes."""
    without: tuple[str, ...] = ()
    wait: bool = True
    """Whether to stay while others make the last runs, and to take those of processes that die."""
    lease_seconds: float = LEASE_SECONDS
    look_seconds: float = 2.0
    make: Callable[..., RunRecord] = field(default=run_in_process)


def work(
    study: Study, out: Path, listener: Listener | None = None, how: How | None = None, finish: Finish | None = None
) -> Worked:
    """Makes runs of a study until none is left, together with all others that do so in the same folder.

    The first prepares the study while others wait; each run is made by whoever takes its lease first, and taken over
    from its last checkpoint where that process dies; the last one calls `finish`. Raises `InputError` where the study
    or the folder cannot be used. An interrupt gives up what this process has, for others to take at once.
    """
    how, listen = how or How(), listener or (lambda event: None)
    if not LEAST_SECONDS <= how.lease_seconds <= MOST_SECONDS:
        raise InputError(
            f"--lease takes {LEAST_SECONDS:g} to {MOST_SECONDS:,.0f} seconds; {how.lease_seconds:g} is given."
        )
    count = checked(how.workers)
    wanted = {run.name for run in select(plan(study), how.only, how.without)}
    with interruptible(), _folder(out), at_work_in(out, how.lease_seconds) as presence:
        try:
            shared = _planned(study, out, presence, listen)
            return _work(shared, out, presence, listen, how, Workers(how.make, places(count)), finish, wanted)
        finally:
            _leave(out, presence)


def _work(
    shared: SharedPlan,
    out: Path,
    presence: Presence,
    listen: Listener,
    how: How,
    workers: Workers,
    finish: Finish | None,
    wanted: set[str],
) -> Worked:
    all_jobs = shared.jobs(out)
    jobs = [job for job in all_jobs if job.planned.name in wanted]
    leases = Leases(_session(out, shared), presence)
    left = {job.planned.name for job in all_jobs}
    done = [name for name in shared.names if name not in left]
    ids = {job.planned.name: job.run_id for job in jobs}
    listen(StudyPlanned([name for name in shared.names if name in wanted or name in done], done, run_ids=ids))
    listen = noting(listen, out, presence, {job.planned.name: job for job in jobs})
    if any(job.planned.method.NEEDS_MODEL for job in jobs):
        warm_up()
    store = Store(out)
    leased = Leased(leases, jobs, workers.gpus, how.wait, lambda text: listen(Notice(text)), how.look_seconds)
    results = _Results(store, shared, all_jobs, leases)
    ready = predicting(Predictor(), {job.run_id for job in jobs if job.done})
    made: list[RunRecord] = []
    for job, record in LeaseCrew(workers, leased).records(jobs, ready, listen):
        made.append(record)
        listen(RunFinished(job.planned.name, record, reused=False))
        results.write()
    finished = leases.standing().done if leases.folder.exists() else {job.run_id for job in all_jobs}
    elsewhere = sum(job.run_id not in finished and job.planned.name not in wanted for job in all_jobs)
    if leased.left() or elsewhere:
        return Worked(made, leased.left(), store.load(), elsewhere=elsewhere)
    last = _finish(shared, out, leases, results, listen, finish)
    return Worked(made, 0, store.load(), last)


def _finish(
    shared: SharedPlan, out: Path, leases: Leases, results: _Results, listen: Listener, finish: Finish | None
) -> bool:
    """Writes the results where no other process has; waits for the one that does. Returns whether this one did."""
    while _in_force(out, shared):
        with leases.trying(FINISH) as lease:
            if lease is not None and _in_force(out, shared):
                listen(Stage("writing results"))
                results.write(last=True)
                if finish is not None:
                    finish(results.store.load())
                plan_path(out).unlink(missing_ok=True)
                delete(leases.folder)
                return True
        time.sleep(POLL_SECONDS)
    return False


def _planned(study: Study, out: Path, presence: Presence, listen: Listener) -> SharedPlan:
    """The plan of the study: that of the processes which are at it, else one that this process makes."""
    waits = False
    leases = Leases(shared_folder(out) / "leases", presence)
    while True:
        found = _joined(study, out, presence)
        if found is not None:
            return found
        with leases.trying("prepare") as lease:
            if lease is not None:
                return _joined(study, out, presence) or _prepared(study, out, presence, listen)
        if not waits:
            waits = True
            others = presence.others()
            listen(Notice(f"Waiting for the study to be prepared by another process ({named(others)})."))
        time.sleep(POLL_SECONDS)


def _joined(study: Study, out: Path, presence: Presence) -> SharedPlan | None:
    """The plan that other processes make runs of, which this one then does too."""
    if not presence.path.exists():
        presence.write()
    shared = read_plan(out)
    there = [each for each in presence.others() if shared is not None and each.session == shared.session]
    if shared is None or not there:
        return None
    if not shared.is_of(study):
        raise InputError(
            f"Processes are making another study in {out}, or this one with other settings or another release "
            f"({named(there)}). Start all of them with the same study file and settings, or give another --out."
        )
    presence.join(shared.session)
    return shared


def _prepared(study: Study, out: Path, presence: Presence, listen: Listener) -> SharedPlan:
    """Reads, checks, tokenises and searches; nobody else is at it, so that what dead processes left can go."""
    for path in (out / WORK).iterdir():
        if path != shared_folder(out):
            delete(path)
    for path in shared_folder(out).iterdir():
        if path.name not in ("members", "leases"):
            delete(path)
    sweep(out)
    runs = plan(study)
    found = study_runs(study, Store(out), runs, runs, listen, isolate=True)
    begun = found.begin(lambda event: None, lambda: None)
    shared = found.plan(begun)
    _session(out, shared).mkdir(parents=True, exist_ok=True)
    presence.join(shared.session)
    write_plan(out, shared)
    return shared


def _session(out: Path, shared: SharedPlan) -> Path:
    """Where the leases of the runs lie."""
    return shared_folder(out) / shared.session


def _in_force(out: Path, shared: SharedPlan) -> bool:
    found = read_plan(out)
    return found is not None and found.session == shared.session


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """Makes the folder where it is not there; one that is empty at the end goes again."""
    check_folder(out)
    made = [path for path in (out, *out.parents) if not path.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {out} cannot be written to ({error.strerror}). Give another --out.") from error
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or (found := unwritable(error, out)) is None:
            raise
        raise UnwritableError(found) from error
    finally:
        with suppress(OSError):
            for path in made:
                path.rmdir()


def _leave(out: Path, presence: Presence) -> None:
    """The last process to leave takes everything away that was for the runs alone."""
    with suppress(OSError), Leases(shared_folder(out) / "leases", presence).trying("prepare") as lease:
        if lease is None or living(presence.folder, presence.now(), but=presence.path):
            return
        gone = out / f"{WORK}-{presence.me.token}"
        (out / WORK).rename(gone)  # at once: who comes now begins anew
        delete(gone)


class _Results:
    """`results.json` of a study that several processes make."""

    def __init__(self, store: Store, shared: SharedPlan, jobs: list[Job], leases: Leases) -> None:
        self.store = store
        self._jobs = jobs
        self._leases = leases
        self._known: set[str] = set()
        before = store.load().study
        self._board = Board(store, replace(before, runs=[], statistics={}), [run.name for run in plan(shared.loaded)])
        for record in before.runs:
            self._board.put(record)

    def write(self, last: bool = False) -> None:
        """Writes what all processes have made by now, where that is due; one process at a time."""
        from filelock import FileLock

        if not last and self._just_written():
            return
        with FileLock(shared_folder(self.store.path) / "results.lock"):
            found = self._leases.standing()
            if not last and (FINISH in found.last or not self._leases.folder.exists()):
                return  # another process writes the last word, with what this one made in it
            done = found.done
            for job in self._jobs:
                if job.run_id in done and job.run_id not in self._known:
                    self._board.put(RunFolder(job.out).read_record())
                    self._known.add(job.run_id)
            self._board.write()

    def _just_written(self) -> bool:
        """Whether the file is too young to be written again, by whoever."""
        if self._board.brief:
            return False
        age = self._leases.presence.now() - self.store.results_path.stat().st_mtime
        return age < SHARE * self._board.took
