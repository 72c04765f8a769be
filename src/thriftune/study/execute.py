"""Runs a study: every run in a fresh process, results on disk as they come, complete ones taken as they are."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Iterable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.engine import ENGINE_VERSION
from thriftune.errors import InputError
from thriftune.results.record import RunRecord, StudyResults
from thriftune.results.store import Results, Store, write_text
from thriftune.study.config import Study, study_to_dict, study_to_yaml
from thriftune.study.events import RunFinished, RunStarted, StudyPlanned
from thriftune.study.plan import PlannedRun, plan, run_id
from thriftune.study.prepare import Listener, Prepared, prepare, text_columns
from thriftune.study.worker import Emit, Job, blank_record, environment, execute

if TYPE_CHECKING:
    import polars as pl

WORK = ".work"
"""Folder in OUT for the data that the runs' processes read; deleted at the end."""


def compare(study: Study, out: Path, listener: Listener | None = None, isolate: bool = True) -> Results:
    """Runs a study and returns its results; `OUT` then holds everything but the report.

    Runs whose record is already in `OUT` are not run again. With `isolate` each run executes in a fresh spawned
    process; without it (tests) in this one. Raises `InputError` before anything is written where data, models
    or methods cannot be used; on an interrupt what is done stays and the same call resumes.
    """
    listen: Listener = listener or (lambda event: None)
    store = Store(out)
    check_folder(store)
    runs = plan(study)
    work = out / WORK
    existed = out.exists()
    try:
        prepared = prepare(study, runs, work, listen)
        jobs = [_job(study, prepared, run, store) for run in runs]
        _check_distinct(jobs)
        _write_head(study, prepared, store)
        records = {job.run_id: store.run(job.run_id).read_record() for job in jobs if store.run(job.run_id).complete}
        records = {key: record for key, record in records.items() if record.status == "done"}
        listen(StudyPlanned([run.name for run in runs], [j.planned.name for j in jobs if j.run_id in records]))
        reused = set(records)
        try:
            for index, job in enumerate(jobs, start=1):
                if job.run_id not in records:
                    listen(RunStarted(job.planned.name, index, len(jobs)))
                    records[job.run_id] = (_spawn if isolate else execute)(job, listen)
                record = _renamed(records[job.run_id], job)
                records[job.run_id] = record
                listen(RunFinished(job.planned.name, record, job.run_id in reused))
        finally:
            _write_results(study, prepared, jobs, records, store)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if not existed and out.exists() and not any(out.iterdir()):
            out.rmdir()
    return store.load()


def check_folder(store: Store) -> None:
    """Raises `InputError` where the output folder holds something that is not a study."""
    if store.path.is_file():
        raise InputError(f"{store.path} is a file; --out needs a folder.")
    if not store.path.is_dir() or not any(store.path.iterdir()):
        return
    if not (store.study_path.exists() or (store.path / WORK).exists()):
        raise InputError(
            f"{store.path} is not empty and holds no study. Give a new folder, or one that compare wrote before."
        )


def _job(study: Study, prepared: Prepared, run: PlannedRun, store: Store) -> Job:
    device = device_type(run)
    weights = prepared.hashes.get(run.model) if run.model is not None else None
    key = run_id(run, study, prepared.dataset.fingerprint, weights, ENGINE_VERSION, device)
    splits = prepared.dataset.splits
    return Job(
        planned=run,
        run_id=key,
        labels=prepared.dataset.labels,
        text_columns=text_columns(prepared.dataset, run),
        splits={split: prepared.split_path(split) for split in splits},
        tokens={} if run.model is None else {split: prepared.tokens_path(study, run, split) for split in splits},
        model=prepared.models.get(run.model) if run.model is not None else None,
        device=device,
        out=store.run(key).path,
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


def _write_head(study: Study, prepared: Prepared, store: Store) -> None:
    """Writes what is known before the first run: the resolved study and the test texts."""
    store.path.mkdir(parents=True, exist_ok=True)
    write_text(store.study_path, study_to_yaml(study, store.path))
    store.write_test(_test_frame(prepared))


def _test_frame(prepared: Prepared) -> pl.DataFrame:
    import polars as pl

    dataset = prepared.dataset
    names = pl.Series(list(dataset.labels), dtype=pl.String)
    frame = dataset.splits["test"]
    label = names.gather(frame["label"]).alias("label")
    kept = [name for name in frame.columns if name not in ("example", "label", *dataset.text_columns)]
    return frame.with_columns(label).select("example", *dataset.text_columns, "label", *kept)


def _write_results(
    study: Study, prepared: Prepared, jobs: list[Job], records: dict[str, RunRecord], store: Store
) -> None:
    interrupted = "the study was interrupted before this run was complete; compare resumes it"
    runs = [records.get(job.run_id) or blank_record(job, "interrupted", interrupted) for job in jobs]
    store.write_results(
        StudyResults(
            name=study.name,
            study=study_to_dict(study),
            profile=prepared.profile,
            runs=runs,
            margin=study.margin,
            published=study.published,
            environment=environment(max((job.device for job in jobs), default="cpu", key=lambda d: d == "cuda")),
        )
    )


def _renamed(record: RunRecord, job: Job) -> RunRecord:
    """A reused record under the names that today's study gives it."""
    return replace(record, name=job.planned.name, cell=job.planned.cell)


def _spawn(job: Job, emit: Emit) -> RunRecord:
    """Executes a run in a fresh process, which a crash or a kill cannot take the study down with."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(job, sender), daemon=False)
    process.start()
    sender.close()
    try:
        record = _listen(receiver, emit)
        process.join()
    except BaseException:
        process.terminate()
        process.join()
        shutil.rmtree(job.out, ignore_errors=True)
        raise
    if record is not None:
        return record
    return _died(job, process.exitcode)


def _died(job: Job, exit_code: int | None) -> RunRecord:
    from thriftune.results.store import RunFolder

    status = "out_of_memory" if exit_code == -9 else "failed"
    why = "was killed, most likely because the machine ran out of memory" if exit_code == -9 else "broke off"
    record = blank_record(job, status, f"the run's process {why} (exit code {exit_code})")
    RunFolder(job.out).clear()
    RunFolder(job.out).write_record(record)
    return record


def _listen(receiver: Connection, emit: Emit) -> RunRecord | None:
    """Passes a child's progress on until its record comes; None where the child ends without one."""
    while True:
        try:
            message: Any = receiver.recv()
        except EOFError:
            return None
        if isinstance(message, RunRecord):
            return message
        emit(message)


def _child(job: Job, sender: Connection) -> None:
    import signal

    # Ctrl-C reaches the whole process group; the parent decides, and terminates this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sender.send(execute(job, sender.send))


def failed(records: Iterable[RunRecord]) -> list[RunRecord]:
    """The runs that are not done."""
    return [record for record in records if record.status != "done"]
