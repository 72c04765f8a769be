"""One run, from its job to its record; executed in a fresh process."""

from __future__ import annotations

import traceback
from dataclasses import replace

from thriftune.cost.measured.busy import with_load
from thriftune.cost.measured.environment import environment
from thriftune.errors import InputError, first_line
from thriftune.methods.base import Baseline
from thriftune.methods.embeddings import Embeddings
from thriftune.processors import load_average
from thriftune.results.files import write_text
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.run.baseline_run import run_baseline
from thriftune.study.run.embeddings_run import run_embeddings
from thriftune.study.run.extend import extend, without_scores
from thriftune.study.run.job import Emit, Job, RunError, blank_record
from thriftune.study.run.transformer_run import run_transformer


def execute(job: Job, emit: Emit) -> RunRecord:
    """Trains, tests, saves, and writes the run's record last; a run that is done is only scored on robustness sets.

    A run that fails has a record too, with its status and message, and nothing else but the traceback of an
    unexpected error (`error.txt`). Interrupts pass through and leave its
    checkpoints, from which the next call goes on.
    """
    folder = RunFolder(job.out)
    load = load_average()
    if job.done and (extended := _extended(job, folder, emit)) is not None:
        extended = replace(extended, files=folder.checksums())
        folder.write_record(extended)
        return extended
    folder.clear(keep_checkpoint=True)
    method, run = job.planned.method, run_transformer
    if isinstance(method, Baseline | Embeddings):
        run = run_baseline if isinstance(method, Baseline) else run_embeddings
    try:
        record = with_load(run(job, folder, emit), load)
    except RunError as error:
        folder.clear()
        record = blank_record(job, error.status, str(error))
    except InputError as error:
        folder.clear()
        record = blank_record(job, "failed", str(error))
    except Exception as error:  # noqa: BLE001 - one run's failure must not lose the study's other runs
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        folder.clear()
        write_text(folder.error_path, traceback.format_exc())
        record = blank_record(
            job,
            "out_of_memory" if memory else "failed",
            f"{type(error).__name__}: {first_line(error)} (traceback in runs/{job.out.name}/{folder.error_path.name})",
        )
    except BaseException:
        folder.remove(keep_checkpoint=True)
        raise
    about = {**environment(job.device, training=job.planned.method.NEEDS_MODEL), **job.checkout}
    record = replace(record, environment=about, files=folder.checksums())
    folder.write_record(record)
    folder.drop_checkpoint()
    return record


def _extended(job: Job, folder: RunFolder, emit: Emit) -> RunRecord | None:
    """The record of a done run with its missing scores; a failure leaves the run as it was, with a note."""
    folder.error_path.unlink(missing_ok=True)
    try:
        return extend(job, folder, emit)
    except Exception as error:  # noqa: BLE001 - a robustness set must not cost a trained model
        write_text(folder.error_path, traceback.format_exc())
        where = f"traceback in runs/{job.out.name}/{folder.error_path.name}"
        return without_scores(job, f"{type(error).__name__}: {first_line(error)} ({where})")
