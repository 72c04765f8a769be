"""Runs a study: every run in a fresh process, results on disk as they come, complete ones taken as they are."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from thriftune.cost.measured.checkout import checkout
from thriftune.cost.measured.environment import environment
from thriftune.data.dataset import Dataset, RobustnessSet, label_counts
from thriftune.endings import interruptible
from thriftune.engine import ENGINE_VERSION
from thriftune.errors import InputError
from thriftune.results.files import DamagedError, delete, write_text
from thriftune.results.profile import RobustnessProfile
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.run_folder import RunFolder
from thriftune.results.soundness import check_run
from thriftune.results.store import Results, Store
from thriftune.study.crew.base import Crew
from thriftune.study.crew.choose import crew_of
from thriftune.study.crew.serial import Serial
from thriftune.study.events import Event, Listener, Notice, RunFinished, RunStarted, StudyPlanned
from thriftune.study.file.config import Study, study_to_dict, study_to_yaml
from thriftune.study.file.plan import PlannedRun, plan, run_id
from thriftune.study.file.selection import belongs, select
from thriftune.study.folder import WORK, alone_in, check_same_study, earlier_results
from thriftune.study.forecast.kept import kept_output
from thriftune.study.forecast.outlook import expected_time, outlook_of
from thriftune.study.forecast.predictor import Predictor
from thriftune.study.preparation.prepare import Prepared, prepare, read, text_columns
from thriftune.study.run.extend import missing_sets
from thriftune.study.run.job import Job, blank_record
from thriftune.study.run.process import run_in_process, warm_up
from thriftune.study.run.team.count import check_processes, processes_of
from thriftune.study.run.team.torchrun import launched, leading
from thriftune.study.run.worker import execute
from thriftune.study.search.execute import Chosen, search

if TYPE_CHECKING:
    import polars as pl


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
) -> Results:
    """Runs a study and returns its results; `OUT` then holds everything but the report.

    Done runs whose record is in `OUT` are not run again. With `isolate` each run executes in a fresh spawned
    process; without it (tests) in this one. `workers` are made at once: a number, or "auto"; `processes` train each
    of them together. `only` and `without` name runs that alone are made, or are not; what `OUT` holds of the others
    stays. A run whose model or method cannot be used fails by itself, before anything is trained. Raises `InputError`
    before anything is written where the data, or no run at all, can be used; on an interrupt what is done stays and the
    same call resumes. In the main thread SIGTERM and SIGHUP are interrupts too (`KeyboardInterrupt`), unless the
    program handles or ignores them itself.
    """
    listen: Listener = listener or (lambda event: None)
    store = Store(out)
    count = processes_of(processes, workers)
    crew = crew_of(workers, run_in_process if isolate else execute, isolate)
    planned = plan(study)
    runs = select(planned, only, without)
    with interruptible(), alone_in(out), leading(launched()):
        try:
            made = {record.name for record in _made_before(out, runs, study)}
            waiting = [run for run in runs if run.name not in made]
            if (expected := expected_time(study, waiting)) is not None:
                listen(expected)
            check_processes(runs, count, workers)
            dataset = read(study, runs, listen)
            check_same_study(out, study.name, dataset.fingerprint)
            kept = _made_before(out, [run for run in planned if run not in runs], study)
            prepared = prepare(study, runs, dataset, out / WORK, listen)
            found = Chosen()
            if study.search is not None:
                found = search(
                    study,
                    prepared,
                    runs,
                    planned,
                    lambda run: _job(study, prepared, run, store),  # trials train in one process each
                    store,
                    listen,
                    isolate,
                )
                prepared = replace(prepared, refused=prepared.refused | found.refused)
            jobs = [
                replace(
                    _job(study, prepared, found.runs.get(run.name, run), store),
                    searched=found.searched.get(run.cell),
                    processes=count,
                )
                for run in runs
            ]
            _check_distinct(jobs)
            progress = _StudyRuns(study, prepared, jobs, store, kept, [run.name for run in planned])
            progress.run(crew, listen, warm_up if isolate else lambda: None)
        finally:
            delete(out / WORK)
    return store.load()


@dataclass(frozen=True)
class _StudyRuns:
    """A study under way: `results.json` always holds what is known of every run."""

    study: Study
    prepared: Prepared
    jobs: list[Job]
    store: Store
    kept: list[RunRecord]
    """Runs of the study that were made before and are not asked for now."""
    order: list[str]
    """The names of all runs of the study."""

    def run(self, crew: Crew, listen: Listener, warm_up: Callable[[], None]) -> None:
        """Has the crew make what is not done yet."""
        records = {job.run_id: record for job in self.jobs if (record := self._done_before(job, listen)) is not None}
        whole = {
            job.run_id for job in self.jobs if job.run_id in records and not missing_sets(job, records[job.run_id])
        }
        asked = {job.run_id for job in self.jobs if job.planned.name in self.prepared.refused}
        refused, whole = asked - records.keys(), whole | (asked & records.keys())
        if any(job.planned.method.NEEDS_MODEL for job in self.jobs if job.run_id not in whole | refused):
            warm_up()
        self._write_head()
        records |= {job.run_id: self._refuse(job) for job in self.jobs if job.run_id in refused}
        self._write_results(records)
        listen(
            StudyPlanned(
                [job.planned.name for job in self.jobs],
                [job.planned.name for job in self.jobs if job.run_id in whole],
                [warning.text for warning in self.prepared.profile.warnings],
            )
        )
        for job in self.jobs:
            if job.run_id in refused:
                listen(RunFinished(job.planned.name, records[job.run_id], reused=False))
        for job in self.jobs:
            if job.run_id in whole:
                listen(RunFinished(job.planned.name, records[job.run_id], reused=True))
        predictor = Predictor()
        left = [job for job in self.jobs if job.run_id not in whole | refused]
        alone = [job for job in left if job.run_id not in records] if isinstance(crew, Serial) else []
        if (outlook := outlook_of(alone, predictor)) is not None:
            listen(Notice(outlook))
        if (kept := kept_output([job for job in left if job.run_id not in records])) is not None:
            listen(Notice(kept.sentence))

        def ready(job: Job) -> Job:
            done = job.run_id in records
            predicted, why = (None, None) if done else predictor.of(job)
            return replace(job, predicted=predicted, unpredicted=why, done=done)

        with _ending(crew.records(left, ready, _in_the_study(listen, self.jobs))) as made:
            for job, record in made:
                records[job.run_id] = record
                self._write_results(records)
                listen(RunFinished(job.planned.name, record, reused=False))

    def _refuse(self, job: Job) -> RunRecord:
        """The record of a run that cannot be run, which it also writes."""
        folder = RunFolder(job.out)
        folder.clear()
        record = blank_record(job, "failed", self.prepared.refused[job.planned.name])
        record = replace(record, environment={**environment(job.device, training=False), **job.checkout})
        folder.write_record(record)
        return record

    def _done_before(self, job: Job, listen: Listener) -> RunRecord | None:
        """The record of a run that is done, under the names that today's study gives it.

        A run whose files are not those that it left is not done; `listen` is told why.
        """
        folder = RunFolder(job.out)
        if not folder.complete:
            return None
        try:
            found = folder.read_record()
            if found.status != "done":
                return None
            scored = found.robustness_fingerprints
            held = [name for name in self._texts if name == "test" or scored.get(name) == job.robustness[name]]
            check_run(folder, found, list(job.labels), {name: self._texts[name] for name in held})
        except DamagedError as error:
            listen(Notice(f"{job.planned.name} is run again: {error.path} is damaged: {error.why}."))
            return None
        if job.planned.method.BASELINE and missing_sets(job, found):
            return None  # a baseline is fitted again sooner than read back
        named = replace(found, name=job.planned.name, cell=job.planned.cell, searched=job.searched)
        if named != found:
            folder.write_record(named)
        folder.drop_checkpoint()  # of a study that ended between the record and that
        return named

    @cached_property
    def _texts(self) -> dict[str, pl.DataFrame]:
        """The texts of test and of every robustness set as they go to disk."""
        dataset = self.prepared.dataset
        sets = {name: _text_frame(dataset, each.frame) for name, each in dataset.robustness.items()}
        return {"test": _text_frame(dataset, dataset.splits["test"]), **sets}

    def _write_head(self) -> None:
        """Writes what is known before the first run: the resolved study and the test texts."""
        write_text(self.store.study_path, study_to_yaml(self.study, self.store.path))
        dataset = self.prepared.dataset
        self.store.write_test(self._texts["test"])
        train = _text_frame(dataset, dataset.splits["train"])
        self.store.write_train(train[["example", *dataset.text_columns, "label"]])
        self.store.write_robustness({name: frame for name, frame in self._texts.items() if name != "test"})

    def _write_results(self, records: dict[str, RunRecord]) -> None:
        missing = "the study ended before this run was complete; the same compare resumes it"
        runs = [records.get(job.run_id) or blank_record(job, "interrupted", missing) for job in self.jobs]
        runs = sorted([*self.kept, *runs], key=lambda run: self.order.index(run.name))
        self.store.write_results(
            StudyResults(
                name=self.study.name,
                study=study_to_dict(self.study),
                profile=self.prepared.profile,
                runs=runs,
                margin=self.study.margin,
                published=self.study.published,
                environment=environment(
                    "cuda" if any(job.device == "cuda" for job in self.jobs) else "cpu",
                    training=any(job.planned.method.NEEDS_MODEL for job in self.jobs),
                )
                | checkout(),
                robustness={
                    name: _robustness_profile(each, self.prepared.dataset.labels)
                    for name, each in self.prepared.dataset.robustness.items()
                },
            )
        )


def _in_the_study(listen: Listener, jobs: Sequence[Job]) -> Listener:
    """Tells `listen` of a crew's runs by their places in the whole study."""
    places = {job.planned.name: index for index, job in enumerate(jobs, start=1)}

    def tell(event: Event) -> None:
        if isinstance(event, RunStarted):
            event = RunStarted(event.name, places[event.name], len(jobs))
        listen(event)

    return tell


@contextmanager
def _ending(made: Iterator[tuple[Job, RunRecord]]) -> Iterator[Iterator[tuple[Job, RunRecord]]]:
    """Ends what still runs when the block is left, however it is."""
    try:
        yield made
    finally:
        if isinstance(made, Generator):
            made.close()


def _made_before(out: Path, runs: list[PlannedRun], study: Study) -> list[RunRecord]:
    """What the folder holds of runs that are left out now."""
    earlier = earlier_results(out)
    return [run for run in earlier.runs if run.status == "done" and belongs(run, runs, study.search)] if earlier else []


def _job(study: Study, prepared: Prepared, run: PlannedRun, store: Store) -> Job:
    device = device_type(run)
    weights = prepared.hashes.get(run.model) if run.model is not None else None
    key = run_id(run, study, prepared.dataset.fingerprint, weights, ENGINE_VERSION, device)
    splits = prepared.dataset.frames
    return Job(
        planned=run,
        run_id=key,
        labels=prepared.dataset.labels,
        text_columns=text_columns(prepared.dataset, run),
        splits={split: prepared.split_path(split) for split in splits},
        tokens={} if run.model is None else {split: prepared.tokens_path(study, run, split) for split in splits},
        model=prepared.models.get(run.model) if run.model is not None else None,
        device=device,
        out=store.run(key, run.cell, run.seed).path,
        pair=study.data.pair,
        margin=study.margin,
        checkout=checkout(),
        robustness={name: each.fingerprint for name, each in prepared.dataset.robustness.items()},
    )


def device_type(run: PlannedRun) -> str:
    """cpu or cuda; raises `InputError` where the protocol asks for a GPU that is not there."""
    import torch

    if not run.method.NEEDS_MODEL or run.protocol.device == "cpu":
        return "cpu"
    available = torch.cuda.is_available()
    if run.protocol.device == "cuda" and not available:
        raise InputError(f"{run.name}: protocol.device is cuda, but torch finds no GPU here. Use auto or cpu.")
    if run.protocol.precision == "tf32" and not available:
        raise InputError(f"{run.name}: precision tf32 exists on GPUs alone, and torch finds none here. Use fp32.")
    return "cuda" if available else "cpu"


def _check_distinct(jobs: list[Job]) -> None:
    names: dict[str, str] = {}
    for job in jobs:
        other = names.setdefault(job.run_id, job.planned.name)
        if other != job.planned.name:
            raise InputError(f'"{other}" and "{job.planned.name}" are the same run. Remove one of them.')


def _robustness_profile(each: RobustnessSet, labels: tuple[str, ...]) -> RobustnessProfile:
    return RobustnessProfile(
        source=each.source,
        rows=each.frame.height,
        label_counts=label_counts(each.frame, labels),
        dropped=list(each.dropped),
        notes=list(each.notes),
        fingerprint=each.fingerprint,
    )


def _text_frame(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The texts of a split or robustness set as they go to disk: labels by name, kept columns last."""
    import polars as pl

    names = pl.Series(list(dataset.labels), dtype=pl.String)
    label = names.gather(frame["label"]).alias("label")
    kept = [name for name in frame.columns if name not in ("example", "label", *dataset.text_columns)]
    return frame.with_columns(label)[["example", *dataset.text_columns, "label", *kept]]
