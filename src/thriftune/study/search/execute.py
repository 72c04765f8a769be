"""A study's search: finds settings for every model and method with one budget, before its runs are made."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256
from multiprocessing.connection import Connection

from thriftune.engine import ENGINE_VERSION
from thriftune.errors import InputError
from thriftune.results.files import DamagedError
from thriftune.results.search import CellSearch, Searched, StudySearch, Trial
from thriftune.results.store import Store
from thriftune.study.events import Event, Listener, Notice, SearchFinished, SearchProgress
from thriftune.study.file.config import Study
from thriftune.study.file.plan import PlannedRun, run_id
from thriftune.study.file.search_settings import SearchSettings, written
from thriftune.study.file.search_space import extremes, searched_run, space_of
from thriftune.study.folder import WORK
from thriftune.study.preparation.prepare import Prepared
from thriftune.study.preparation.refusals import check_models
from thriftune.study.preparation.steps import check_steps
from thriftune.study.run.job import Job
from thriftune.study.run.process import Death, as_child, in_process, quiet_end
from thriftune.study.search.job import NotSearched, SearchJob, TrialsDone
from thriftune.study.search.trials import run_trials


@dataclass(frozen=True)
class Chosen:
    """What the searches of a study chose."""

    runs: dict[str, PlannedRun] = field(default_factory=dict)
    """Runs with the settings that were chosen for them, by name."""
    searched: dict[str, Searched] = field(default_factory=dict)
    """How they were chosen, by cell."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why a run cannot be made, by its name."""


def search(
    study: Study,
    prepared: Prepared,
    runs: list[PlannedRun],
    planned: list[PlannedRun],
    job_of: Callable[[PlannedRun], Job],
    store: Store,
    listen: Listener,
    isolate: bool,
) -> Chosen:
    """Searches settings for every cell of the runs, and writes `search.json` after each.

    `planned` are all runs of the study: what `search.json` holds of those not asked for stays. Trials that are there
    are not made again. A cell without a complete trial, or with a space that its model does not take, is refused.
    """
    settings = study.search
    assert settings is not None
    cells = {run.cell: run for run in reversed(runs) if space_of(run.method, settings)}
    cells = {run.cell: cells[run.cell] for run in runs if run.cell in cells}
    refused = _impossible(study, prepared, [run for run in cells.values() if run.name not in prepared.refused])
    before = _before(store, listen)
    others = {run.cell for run in planned} - {run.cell for run in runs}
    kept = [cell for cell in before.cells if cell.cell in others] if before is not None else []
    found = Chosen()
    session = uuid.uuid4().hex
    for name, run in cells.items():
        names = [each.name for each in runs if each.cell == name]
        if any(each in prepared.refused for each in names):
            continue
        if name in refused:
            found.refused.update(dict.fromkeys(names, refused[name]))
            continue
        job = _search_job(study, prepared, run, job_of(run), store, session)
        earlier = before.cell(name) if before is not None else None
        begun: list[SearchProgress] = []

        def note(event: Event, begun: list[SearchProgress] = begun) -> None:
            if isinstance(event, SearchProgress):
                begun.append(event)
            listen(event)

        done = _reused(earlier, job) or replace(job.search, trials=_searched(job, note, isolate))
        listen(SearchFinished(done, reused=not begun))
        kept.append(done)
        order = [each.cell for each in planned]
        kept.sort(key=lambda cell: order.index(cell.cell))
        store.write_search(StudySearch(settings.trials, settings.seconds, settings.prune, settings.seed, kept))
        _take(found, done, [each for each in runs if each.cell == name], planned)
    return found


def _take(found: Chosen, done: CellSearch, runs: list[PlannedRun], planned: list[PlannedRun]) -> None:
    """Puts the best trial's settings into the cell's runs."""
    best = done.best
    if best is None or best.score is None:
        reasons = list(dict.fromkeys(trial.message for trial in done.trials if trial.message))
        message = f"No trial of the search was complete: {' '.join(reasons)}"
        found.refused.update({run.name: message for run in runs})
        return
    found.runs.update({run.name: searched_run(run, best.params) for run in runs})
    found.searched[done.cell] = Searched(
        chosen=best.params,
        space=done.space,
        select=done.select,
        score=best.score,
        trials=len(done.trials),
        complete=done.count("complete"),
        pruned=done.count("pruned"),
        failed=done.count("diverged", "out_of_memory", "killed", "failed"),
        seconds=done.seconds,
        train_seconds=sum(trial.train_seconds for trial in done.trials),
        shared_by=sum(run.cell == done.cell for run in planned),
    )


def _search_job(study: Study, prepared: Prepared, run: PlannedRun, job: Job, store: Store, session: str) -> SearchJob:
    settings = study.search
    assert settings is not None
    space = space_of(run.method, settings)
    key = _key(study, prepared, run, settings, job.device)
    parts = [split for split in ("train", "validation") if split in job.splits]
    alone = replace(
        job,
        splits={split: job.splits[split] for split in parts},
        tokens={split: job.tokens[split] for split in parts},
        robustness={},
        out=store.path / WORK / "search" / key,
    )
    blank = CellSearch(run.cell, str(run.model), run.method.flat(), key, written(space), run.protocol.select, trials=[])
    return SearchJob(alone, space, settings, blank, store.search_database, session)


def _key(study: Study, prepared: Prepared, run: PlannedRun, settings: SearchSettings, device: str) -> str:
    """32 hexadecimal digits that stand for all that trials depend on, but for how many there are to be."""
    space = space_of(run.method, settings)
    alike = searched_run(run, {key: dimension.ends[0] for key, dimension in space.items()})
    weights = prepared.hashes.get(str(run.model))
    base = run_id(replace(alike, seed=0), study, prepared.dataset.fingerprint, weights, ENGINE_VERSION, device)
    parts = [base, list(written(space).items()), settings.prune, settings.seed]
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _before(store: Store, listen: Listener) -> StudySearch | None:
    """What `search.json` holds; where it is damaged, `search.db` does."""
    try:
        return store.read_search()
    except DamagedError as error:
        listen(Notice(f"{error.path} is damaged and is written anew: {error.why}."))
        return None


def _reused(earlier: CellSearch | None, job: SearchJob) -> CellSearch | None:
    """A search that is there already and needs no further trial."""
    if earlier is None or earlier.key != job.search.key or earlier.count("failed", "killed"):
        return None
    settings = job.settings
    spent = settings.seconds is not None and earlier.seconds >= settings.seconds
    if len(earlier.trials) < settings.trials and not spent:
        return None
    paid = earlier.within(settings.trials, settings.seconds)
    return replace(job.search, trials=paid)


def _searched(job: SearchJob, listen: Listener, isolate: bool) -> list[Trial]:
    """The trials of a cell, made in a process of its own (without `isolate` in this one).

    Where the process dies in a trial, that trial has failed and another process goes on. Raises `InputError` where
    `search.db` cannot be used.
    """
    while True:
        started: list[int] = []

        def tell(event: SearchProgress, started: list[int] = started) -> None:
            started.append(event.trial)
            listen(event)

        message: TrialsDone | NotSearched | None
        death = Death(None)
        if isolate:
            message, death = in_process(_child, job, True, tell, (TrialsDone, NotSearched))
        else:
            message = run_trials(job, tell)
        if isinstance(message, NotSearched):
            raise InputError(message.message)
        if message is not None:
            return message.trials
        if not started:
            raise InputError(f"The search for {job.search.cell} could not begin: its process {death.why}.")
        job = replace(job, died=(death.status, f"the trial's process {death.why}"))


def _child(job: SearchJob, sender: Connection, variables: dict[str, str]) -> None:
    tell = as_child(sender, variables)
    with quiet_end():
        tell(run_trials(job, tell))


def _impossible(study: Study, prepared: Prepared, cells: list[PlannedRun]) -> dict[str, str]:
    """Why a cell cannot be searched, by its name: some end of a range, or choice, that its model does not take."""
    texts = prepared.dataset.splits["train"].height
    variants: dict[str, tuple[str, PlannedRun]] = {}
    for run in cells:
        for values in extremes(space_of(run.method, study.search)):
            words = ", ".join(f"{key} {value}" for key, value in values.items())
            name = f"{run.cell} with {words}"
            variants[name] = (run.cell, replace(searched_run(run, values), name=name))
    planned = [variant for _, variant in variants.values()]
    check_steps(planned, texts)
    _, refused = check_models(study, planned, prepared.dataset.labels, texts)
    return {variants[name][0]: f"search.over: {name}: {why}" for name, why in refused.items()}
