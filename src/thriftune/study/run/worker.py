"""One run, from its job to its record; executed in a fresh process."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from thriftune.cost.measured.busy import with_load
from thriftune.cost.measured.environment import environment
from thriftune.engine.protocol import deciding
from thriftune.errors import InputError, first_line
from thriftune.methods.base import Baseline, TransformerMethod
from thriftune.methods.embeddings import Embeddings
from thriftune.processors import load_average
from thriftune.results.files import write_text
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.results.storage.errors import unwritable
from thriftune.study.events import TRAINED, Notice, RunProgress, RunTold
from thriftune.study.run.baseline_run import run_baseline
from thriftune.study.run.embeddings_run import run_embeddings
from thriftune.study.run.extend import extend, without_scores
from thriftune.study.run.job import Emit, Job, RunError, blank_record
from thriftune.study.run.transformer_run import run_transformer
from thriftune.study.run_log import run_log

FITTED = "Its batches ran out of memory, so smaller ones were taken (fit_batch): {}, and a step saw the same texts."


def execute(job: Job, emit: Emit) -> RunRecord:
    """Executes a run in this process, with smaller batches where the protocol says `fit_batch`: see `attempt`."""
    return with_fitting_batch(attempt, job, emit)


def with_fitting_batch(run: Callable[[Job, Emit], RunRecord], job: Job, emit: Emit) -> RunRecord:
    """Executes a run, and again with smaller batches as long as training runs out of memory, if its protocol says so.

    A step sees the same texts (`FittedBatch`). The batches that were found are kept beside a checkpoint.
    """
    stage = ""

    def heard(event: RunTold) -> None:
        nonlocal stage
        stage = event.stage if isinstance(event, RunProgress) else stage
        emit(event)

    if not isinstance(job.planned.method, TransformerMethod) or not job.planned.protocol.fit_batch or job.done:
        return run(job, emit)
    folder = RunFolder(job.out)
    if (before := folder.read_fitted_batch()) is not None:
        job = job.with_batch(before)
    while True:
        record = run(job, heard)
        smaller = job.batch.smaller()
        if record.status != "out_of_memory" or stage in TRAINED or smaller is None:
            return record
        emit(Notice(f"{job.planned.name} ran out of memory with {job.batch.words}; again as {smaller.words}."))
        folder.clear()
        job = job.with_batch(smaller)


def attempt(job: Job, emit: Emit) -> RunRecord:
    """Trains, tests, saves, and writes the run's record last; a run that is done is only scored on robustness sets.

    A run that fails has a record too, with its status and message, and nothing else but the traceback of an
    unexpected error (`error.txt`). What it failed for that has nothing to do with it, such as a full disk, and an
    interrupt, which passes through, leave a checkpoint to go on from.
    """
    folder = RunFolder(job.out)
    if not job.done:
        folder.clear(keep_checkpoint=True)
    with run_log(folder.log_path, _about(job)) as log:

        def told(event: RunTold) -> None:
            log.told(event)
            emit(event)

        try:
            record = _made(job, folder, told)
        except BaseException as error:
            log.line(f"ended by {type(error).__name__}", "error")
            raise
        log.ended(record)
    return record


def _about(job: Job) -> dict[str, Any]:
    """The first lines of a run's log."""
    planned = job.planned
    return {
        "run": planned.name,
        "id": job.run_id,
        "device": job.device,
        "model": planned.model,
        "method": planned.method.flat(),
        "protocol": asdict(planned.protocol),
        "seed": planned.seed,
    }


def _made(job: Job, folder: RunFolder, emit: Emit) -> RunRecord:
    load = load_average()
    if job.done and (extended := _extended(job, folder, emit)) is not None:
        extended = replace(extended, files=folder.checksums())
        folder.write_record(extended)
        return extended
    if job.done:
        folder.clear()
    if job.fitted is not None:
        folder.write_fitted_batch(job.fitted)
    method, run = job.planned.method, run_transformer
    if isinstance(method, Baseline | Embeddings):
        run = run_baseline if isinstance(method, Baseline) else run_embeddings
    try:
        record = with_load(run(job.executed, folder, emit), load)
        record = replace(record, files=folder.checksums())
    except RunError as error:
        folder.clear(keep_checkpoint=error.status == "out_of_memory")
        record = blank_record(job, error.status, str(error))
    except InputError as error:
        folder.clear()
        record = blank_record(job, "failed", str(error))
    except Exception as error:  # noqa: BLE001 - one run's failure must not lose the study's other runs
        record = _failed(job, folder, error)
    except BaseException:
        folder.remove(keep_checkpoint=True)
        raise
    about = {**environment(job.device, training=job.planned.method.NEEDS_MODEL), **job.checkout}
    protocol = deciding(job.planned.protocol)
    record = replace(record, environment=about, protocol=protocol, fitted_batch=job.fitted)
    if record.status != "done":
        record = replace(record, files=folder.checksums())
    if job.fitted is not None:
        record = replace(record, notes=[*record.notes, FITTED.format(job.fitted.words)])
    folder.write_record(record)
    if record.status == "done":
        folder.drop_checkpoint()
    return record


def _failed(job: Job, folder: RunFolder, error: Exception) -> RunRecord:
    """The record of a run that an unexpected error ended, and its traceback beside it where the disk takes that."""
    storage = unwritable(error, folder.path)
    memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
    text = traceback.format_exc()
    folder.clear(keep_checkpoint=memory or storage is not None)
    if storage is not None:
        return blank_record(job, "failed", storage)
    try:
        write_text(folder.error_path, text)
        where = f" (traceback in runs/{job.out.name}/{folder.error_path.name})"
    except OSError as full:
        where = f" (its traceback could not be written: {full})"
    message = f"{type(error).__name__}: {first_line(error)}{where}"
    return blank_record(job, "out_of_memory" if memory else "failed", message)


def _extended(job: Job, folder: RunFolder, emit: Emit) -> RunRecord | None:
    """The record of a done run with its missing scores; a failure leaves the run as it was, with a note."""
    folder.error_path.unlink(missing_ok=True)
    try:
        return extend(job, folder, emit)
    except Exception as error:  # noqa: BLE001 - a robustness set must not cost a trained model
        write_text(folder.error_path, traceback.format_exc())
        where = f"traceback in runs/{job.out.name}/{folder.error_path.name}"
        return without_scores(job, f"{type(error).__name__}: {first_line(error)} ({where})")
