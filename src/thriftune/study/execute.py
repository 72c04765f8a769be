"""Runs a study: every run in a fresh process, results on disk as they come, complete ones taken as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.endings import interruptible
from thriftune.errors import InputError
from thriftune.results.files import delete
from thriftune.results.record import RunRecord
from thriftune.results.store import Results, Store
from thriftune.study.crew.choose import crew_of
from thriftune.study.crew.ray.crew import RayCrew, ray_crew
from thriftune.study.crew.ray.settings import RaySettings
from thriftune.study.events import Listener, Notice
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun, plan
from thriftune.study.file.selection import belongs, select
from thriftune.study.folder import WORK, alone_in, check_same_study, earlier_results
from thriftune.study.forecast.outlook import expected_time
from thriftune.study.jobs import check_distinct, job_of
from thriftune.study.preparation.prepare import prepare, read
from thriftune.study.run.process import run_in_process, warm_up
from thriftune.study.run.team.count import check_processes, processes_of
from thriftune.study.run.team.torchrun import launched, leading
from thriftune.study.run.worker import execute
from thriftune.study.runs import StudyRuns
from thriftune.study.search.execute import Chosen, one_by_one, search
from thriftune.study.shared.notes import noting
from thriftune.study.shared.presence import alone_at

if TYPE_CHECKING:
    pass


def compare(
    study: Study,
    out: Path,
    listener: Listener | None = None,
    isolate: bool = True,
    *,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    workers: int | str = 1,
    processes: int = 1,
    ray: RaySettings | None = None,
) -> Results:
    """Runs a study and returns its results; `OUT` then holds everything but the report.

    Done runs whose record is in `OUT` are not run again. With `isolate` each run executes in a fresh spawned
    process; without it (tests) in this one. `workers` are made at once: a number, or "auto"; `processes` train each of
    them together; with `ray` the nodes of a cluster make them, all of which see `OUT`. `only` and `without` name runs
    that alone are made, or are not; what `OUT` holds of the others stays. A run whose model or method cannot be used
    fails by itself, before anything is trained. Raises `InputError` before anything is written where the data, or no
    run at all, can be used; on an interrupt what is done stays and the same call resumes. In the main thread SIGTERM
    and SIGHUP are interrupts too (`KeyboardInterrupt`), unless the program handles or ignores them itself.
    """
    listen: Listener = listener or (lambda event: None)
    store = Store(out)
    count = processes_of(processes, workers)
    if ray is not None and count > 1:
        raise InputError(
            f"{count} processes cannot train a run on a Ray cluster together. Leave --processes or --ray out."
        )
    crew = crew_of(workers, run_in_process if isolate else execute, isolate)
    planned = plan(study)
    runs = select(planned, only, without)
    with interruptible(), alone_in(out), alone_at(out) as presence, leading(launched()), ExitStack() as stack:
        try:
            cluster = None if ray is None else partial(_entered, stack, ray, out, listen)
            check_processes(runs, count, workers)
            found = study_runs(study, store, runs, planned, listen, isolate, cluster, count)
            listen = noting(listen, out, presence, {job.planned.name: job for job in found.jobs})
            found.run(found.cluster or crew, listen, warm_up if isolate and ray is None else lambda: None)
        finally:
            stack.close()
            delete(out / WORK)
    return store.load()


def _entered(stack: ExitStack, ray: RaySettings, out: Path, listen: Listener) -> RayCrew:
    return stack.enter_context(ray_crew(ray, out, listen))


def study_runs(
    study: Study,
    store: Store,
    runs: list[PlannedRun],
    planned: list[PlannedRun],
    listen: Listener,
    isolate: bool,
    connect: Callable[[], RayCrew] | None = None,
    processes: int = 1,
) -> StudyRuns:
    """Reads the data, checks and tokenises, and searches settings: all that comes before the first run.

    `planned` are all runs of the study, `runs` those that are to be made. What the runs read lies in `OUT/.work` then.
    `connect` gives the cluster that is to make them, once the data can be used; `processes` train each together, but
    the trials of a search in one.
    """
    out = store.path
    made = {record.name for record in _made_before(out, runs, study)}
    waiting = [run for run in runs if run.name not in made]
    if (expected := expected_time(study, waiting)) is not None:
        listen(expected)
    dataset = read(study, runs, listen)
    check_same_study(out, study.name, dataset.fingerprint)
    kept = _made_before(out, [run for run in planned if run not in runs], study)
    cluster = None if connect is None else connect()
    gpus = None if cluster is None else cluster.gpus
    prepared = prepare(study, runs, dataset, out / WORK, listen)
    found = Chosen()
    if study.search is not None:
        found = search(
            study,
            prepared,
            runs,
            planned,
            lambda run: job_of(study, prepared, run, store, gpus),
            store,
            listen,
            one_by_one(isolate) if cluster is None else cluster.searches,
        )
        prepared = replace(prepared, refused=prepared.refused | found.refused)
    jobs = [
        replace(
            job_of(study, prepared, found.runs.get(run.name, run), store, gpus),
            searched=found.searched.get(run.cell),
            processes=processes,
        )
        for run in runs
    ]
    check_distinct(jobs)
    for note in dict.fromkeys(note for job in jobs for note in job.notes):
        listen(Notice(note))
    return StudyRuns(study, prepared, jobs, store, kept, [run.name for run in planned], cluster)


def _made_before(out: Path, runs: list[PlannedRun], study: Study) -> list[RunRecord]:
    """What the folder holds of runs that are left out now."""
    earlier = earlier_results(out)
    return [run for run in earlier.runs if run.status == "done" and belongs(run, runs, study.search)] if earlier else []
