"""A baseline's run: fits, scores and saves a method without a transformer."""

from __future__ import annotations

import time

from thriftune.cost.measured import arrays
from thriftune.cost.measured.arrays import LiveArrays
from thriftune.cost.measured.busy import NOT_COUNTED, busy_notes
from thriftune.cost.measured.environment import process_peak_bytes
from thriftune.cost.measured.growth import NOT_TOLD, Growth
from thriftune.cost.measured.predicting import measure, sampled, with_predicting
from thriftune.methods.base import Baseline, Labelled
from thriftune.processors import ProcessorTime
from thriftune.results.cost import Cost
from thriftune.results.models.baseline import BaselineModel
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import RunFolder
from thriftune.study.events import RunProgress
from thriftune.study.run.job import Emit, Job, done_record, label_ids
from thriftune.study.run.scores import evaluate


def run_baseline(job: Job, folder: RunFolder, emit: Emit) -> RunRecord:
    """Trains, tests and saves a baseline.

    torch is never imported: its memory is no part of what a baseline takes.
    """
    # The first import of a library takes seconds that are no training.
    import sklearn.feature_extraction.text
    import sklearn.linear_model
    import sklearn.svm  # noqa: F401

    method = job.planned.method
    assert isinstance(method, Baseline)
    emit(RunProgress(job.planned.name, "loading"))
    started = time.perf_counter()
    frames = job.frames()
    data = {
        split: Labelled([frame[name].to_list() for name in job.text_columns], label_ids(frame))
        for split, frame in frames.items()
    }
    load_seconds = time.perf_counter() - started
    emit(RunProgress(job.planned.name, "training"))
    growth, live = Growth.begin(), LiveArrays.begin()
    started, before = time.perf_counter(), ProcessorTime.now()
    fitted = method.fit(data["train"], len(job.labels), job.planned.seed, data.get("validation"))
    train_seconds = time.perf_counter() - started
    processors, alive, rose = ProcessorTime.now().since(before), live.end(), growth.end()
    scores, evaluate_seconds = evaluate(
        job, folder, emit, frames, job.evaluated, lambda split: fitted.predict(data[split].texts)
    )
    emit(RunProgress(job.planned.name, "storing"))
    folder.model_path.mkdir(parents=True, exist_ok=True)
    stored = fitted.save(folder.model_path)
    BaselineModel(method.NAME, tuple(job.labels), job.text_columns).write(folder.model_path)
    no_tensors = "a baseline trains without tensors; see fit_memory_bytes"
    cost = Cost(
        train_seconds=train_seconds,
        prefix_seconds=0.0,
        prefix_reused=False,
        evaluate_seconds=evaluate_seconds,
        load_seconds=load_seconds,
        samples_per_second=None,
        peak_memory_bytes=None,
        peak_reserved_bytes=None,
        peak_process_bytes=process_peak_bytes(),
        prefix_peak_memory_bytes=None,
        memory=None,
        trained_parameters=fitted.trained_parameters,
        head_parameters=0,
        total_parameters=fitted.trained_parameters,
        stored_bytes=stored,
        delta_bytes=stored,
        energy_joules=None,
        reasons={
            "samples_per_second": "a baseline has no training steps",
            "peak_memory_bytes": no_tensors,
            "peak_reserved_bytes": no_tensors,
            "prefix_peak_memory_bytes": "no prefix was computed",
            "memory": no_tensors,
            **({"train_waited_seconds": NOT_COUNTED} if processors.waited is None else {}),
            **({"fit_memory_bytes": arrays.NOT_COUNTED} if alive is None else {}),
            **({"fit_process_bytes": NOT_TOLD} if rose is None else {}),
            "energy_joules": "no GPU that reports it",
            **dict.fromkeys(("step_seconds", "pass_seconds", "search_seconds"), "a baseline has no training steps"),
            **dict.fromkeys(("layers", "gradient_layers", "pretrained_bytes", "adapter"), "a baseline has no encoder"),
        },
        train_cpu_seconds=processors.used,
        train_waited_seconds=processors.waited,
        threads=1,
        fit_memory_bytes=alive,
        fit_process_bytes=rose,
    )
    emit(RunProgress(job.planned.name, "measuring"))
    in_use = measure(fitted.predict, sampled(data["test"].texts))
    return done_record(job, scores, with_predicting(cost, in_use), [*fitted.notes, *busy_notes(cost, 1)])
