"""One run, from pretrained weights to its record; executed in a fresh process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thriftune.errors import InputError
from thriftune.methods.base import Baseline, TransformerMethod
from thriftune.results.record import Cost, RunRecord, Scores, SearchPoint
from thriftune.results.store import RunFolder
from thriftune.study.events import RunProgress
from thriftune.study.plan import PlannedRun
from thriftune.study.scores import score
from thriftune.study.watch import ProgressHook

if TYPE_CHECKING:
    import polars as pl

    from thriftune.cost.meter import CostMeter
    from thriftune.engine.train import Fit
    from thriftune.models.classifier import Classifier

Emit = Callable[[RunProgress], None]
EVALUATED = ("validation", "test")


@dataclass(frozen=True)
class Job:
    """What a run's process needs to know; it can be pickled."""

    planned: PlannedRun
    run_id: str
    labels: tuple[str, ...]
    text_columns: tuple[str, ...]
    splits: dict[str, Path]
    """Parquet files of the splits."""
    tokens: dict[str, Path]
    """Folders of tokens by split; empty for baselines."""
    model: Path | None
    device: str
    """cpu or cuda."""
    out: Path
    """The run's folder."""


@dataclass(frozen=True)
class Outcome:
    """What a run measured."""

    learning_rate: float | None
    best_epoch: int | None
    scores: dict[str, Scores]
    cost: Cost
    search: list[SearchPoint]
    notes: list[str]


def blank_record(job: Job, status: Any, message: str | None) -> RunRecord:
    """The record of a run that has no results."""
    planned = job.planned
    return RunRecord(
        run_id=job.run_id,
        name=planned.name,
        cell=planned.cell,
        status=status,
        message=message,
        model=planned.model,
        method=planned.method.flat(),
        seed=planned.seed,
        protocol=asdict(planned.protocol),
        head=asdict(planned.head),
        learning_rate=None,
        best_epoch=None,
        test=None,
        validation=None,
        cost=None,
    )


def execute(job: Job, emit: Emit) -> RunRecord:
    """Trains, tests, saves, and writes the run's record last.

    A run that fails has a record too, with its status and message; only `InputError`-free programming errors
    carry their exception's type in the message. Interrupts pass through and leave no record.
    """
    import torch

    from thriftune.engine.train import DivergedError

    folder = RunFolder(job.out)
    folder.clear()
    if job.device == "cpu" and job.planned.method.NEEDS_MODEL:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1))
    try:
        run = _baseline if isinstance(job.planned.method, Baseline) else _transformer
        outcome = run(job, folder, emit)
        record = replace(
            blank_record(job, "done", None),
            learning_rate=outcome.learning_rate,
            best_epoch=outcome.best_epoch,
            validation=outcome.scores.get("validation"),
            test=outcome.scores.get("test"),
            cost=outcome.cost,
            search=outcome.search,
            notes=outcome.notes,
        )
    except DivergedError as error:
        record = blank_record(job, "diverged", str(error))
    except torch.OutOfMemoryError as error:
        record = blank_record(job, "out_of_memory", _first_line(error))
    except InputError as error:
        record = blank_record(job, "failed", str(error))
    except Exception as error:  # noqa: BLE001 - one run's failure must not lose the study's other runs
        memory = isinstance(error, MemoryError) or "allocate memory" in str(error)
        _write_traceback(folder)
        record = blank_record(
            job,
            "out_of_memory" if memory else "failed",
            f"{type(error).__name__}: {_first_line(error)} (traceback in runs/{job.run_id}/error.txt)",
        )
    record = replace(record, environment=environment(job.device))
    folder.write_record(record)
    return record


def environment(device: str) -> dict[str, Any]:
    """Versions, threads and devices that a run's numbers depend on."""
    import torch

    out: dict[str, Any] = {
        name: version(name) for name in ("thriftune", "torch", "transformers", "peft", "numpy", "scikit-learn")
    }
    out |= {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "device": device,
        "threads": torch.get_num_threads(),
        "processor": _processor(),
    }
    if device == "cuda":
        out["gpu"] = torch.cuda.get_device_name()
    return out


def _transformer(job: Job, folder: RunFolder, emit: Emit) -> Outcome:
    import torch

    from thriftune.cost.meter import CostMeter, process_peak_bytes
    from thriftune.data.tokens import Tokens
    from thriftune.engine.batches import Examples
    from thriftune.engine.predict import log_softmax, predict
    from thriftune.models.save import delta_bytes, save_classifier

    planned, method = job.planned, job.planned.method
    assert isinstance(method, TransformerMethod)
    frames = read_frames(job)
    tokens = {split: Tokens.load(path, mmap=True) for split, path in job.tokens.items()}
    examples = {split: Examples(tokens[split], _labels(frames[split])) for split in frames}
    meter = CostMeter(tokens["train"].lengths, planned.seed)
    torch.backends.cuda.matmul.allow_tf32 = planned.protocol.precision == "tf32"

    trained = _search(job, method, examples, meter, emit)
    classifier, fit = trained.classifier, trained.fit
    emit(RunProgress(planned.name, "evaluating"))
    scores, evaluate_seconds = {}, meter.evaluate_seconds
    for split in (s for s in EVALUATED if s in frames):
        started = time.perf_counter()
        logits = predict(classifier, tokens[split], planned.protocol)
        evaluate_seconds += time.perf_counter() - started
        probabilities = np.exp(log_softmax(logits))
        scores[split] = score(examples[split].labels, probabilities, job.labels)
        folder.write_predictions(split, predictions_frame(frames[split], probabilities, job.labels))
    folder.write_history([*fit.steps, *fit.epochs])
    stored = save_classifier(classifier, folder.model_path)
    counts = classifier.counts()
    cuda = job.device == "cuda"
    reasons = {"prefix_peak_memory_bytes": "no prefix was computed"}
    if not cuda:
        reasons["peak_reserved_bytes"] = "only a GPU's allocator reserves memory"
    if meter.memory is None:
        reasons["memory"] = "not measured by category on a GPU"
    if meter.energy_joules is None:
        reasons["energy_joules"] = "the GPU does not report it" if cuda else "no GPU that reports it"
    cost = Cost(
        train_seconds=meter.train_seconds,
        prefix_seconds=0.0,
        prefix_reused=False,
        evaluate_seconds=evaluate_seconds,
        load_seconds=trained.load_seconds,
        samples_per_second=trained.texts / meter.train_seconds,
        peak_memory_bytes=meter.peak_memory_bytes,
        peak_reserved_bytes=meter.peak_reserved_bytes,
        peak_process_bytes=process_peak_bytes(),
        prefix_peak_memory_bytes=None,
        memory=meter.memory,
        trained_parameters=counts.trained,
        head_parameters=counts.head,
        total_parameters=counts.total,
        stored_bytes=stored,
        delta_bytes=delta_bytes(classifier),
        energy_joules=meter.energy_joules,
        reasons=reasons,
    )
    return Outcome(trained.learning_rate, fit.best_epoch, scores, cost, trained.search, list(classifier.notes))


@dataclass(frozen=True)
class _Trained:
    """The best of a learning-rate search (of one candidate, usually)."""

    classifier: Classifier
    fit: Fit
    learning_rate: float
    search: list[SearchPoint]
    load_seconds: float
    texts: int
    """Texts seen by all candidates."""


def _search(job: Job, method: TransformerMethod, examples: dict[str, Any], meter: CostMeter, emit: Emit) -> _Trained:
    """Trains with every learning rate and keeps the best on validation; all of it is charged to the meter."""
    from thriftune.engine.checkpoint import load_trained, save_trained
    from thriftune.engine.train import DivergedError, Task, fit, score_of

    planned = job.planned
    rates = method.learning_rates
    kept = job.out / "best.safetensors"
    best: tuple[float, float, Fit] | None = None
    search: list[SearchPoint] = []
    load_seconds, texts, diverged = 0.0, 0, ""
    for rate in rates:
        emit(RunProgress(planned.name, "loading"))
        started = time.perf_counter()
        classifier = _load(job, method)
        load_seconds += time.perf_counter() - started
        before = meter.train_seconds
        task = Task(
            classifier=classifier,
            train=examples["train"],
            validation=examples.get("validation"),
            protocol=planned.protocol,
            learning_rate=rate,
            seed=planned.seed,
            checkpoint=job.out / "epoch.safetensors",
            after_step=getattr(method, "after_step", None),
        )
        try:
            result = fit(task, [meter, ProgressHook(planned, meter, emit)])
        except DivergedError as error:
            diverged = str(error)
            continue
        texts += result.texts
        if len(rates) == 1:
            return _Trained(classifier, result, rate, [], load_seconds, texts)
        if result.validation is None:
            raise InputError(f"{planned.name}: a search over learning rates needs a validation split.")
        validation = result.validation
        search.append(SearchPoint(rate, validation.accuracy, validation.loss, meter.train_seconds - before))
        value = score_of(validation, planned.protocol.select)
        if best is None or value > best[0]:
            best = (value, rate, result)
            save_trained(classifier, kept)
    if best is None:
        raise DivergedError(diverged)
    load_trained(classifier, kept)
    kept.unlink()
    return _Trained(classifier, best[2], best[1], search, load_seconds, texts)


def _load(job: Job, method: TransformerMethod) -> Classifier:
    import torch

    from thriftune.models.load import load_classifier

    planned = job.planned
    assert job.model is not None
    classifier = load_classifier(job.model, job.labels, planned.head, planned.model, planned.seed)
    method.apply(classifier, torch.Generator().manual_seed(planned.seed))
    classifier.network.to(job.device)
    if classifier.input_tuner and classifier.peft is not None:
        classifier.peft.to(job.device)
    return classifier


def _baseline(job: Job, folder: RunFolder, emit: Emit) -> Outcome:
    from thriftune.cost.meter import process_peak_bytes

    method = job.planned.method
    assert isinstance(method, Baseline)
    emit(RunProgress(job.planned.name, "loading"))
    started = time.perf_counter()
    frames = read_frames(job)
    texts = {split: [frame[name].to_list() for name in job.text_columns] for split, frame in frames.items()}
    load_seconds = time.perf_counter() - started
    emit(RunProgress(job.planned.name, "training"))
    started = time.perf_counter()
    fitted = method.fit(texts["train"], _labels(frames["train"]), len(job.labels), job.planned.seed)
    train_seconds = time.perf_counter() - started
    emit(RunProgress(job.planned.name, "evaluating"))
    scores = {}
    started = time.perf_counter()
    for split in (s for s in EVALUATED if s in frames):
        probabilities = fitted.predict(texts[split])
        scores[split] = score(_labels(frames[split]), probabilities, job.labels)
        folder.write_predictions(split, predictions_frame(frames[split], probabilities, job.labels))
    evaluate_seconds = time.perf_counter() - started
    folder.model_path.mkdir(parents=True, exist_ok=True)
    stored = fitted.save(folder.model_path)
    no_tensors = "a baseline trains without tensors; see peak_process_bytes"
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
            "energy_joules": "no GPU that reports it",
        },
    )
    return Outcome(None, None, scores, cost, [], [])


def read_frames(job: Job) -> dict[str, pl.DataFrame]:
    """The splits' frames."""
    import polars as pl

    return {split: pl.read_parquet(path) for split, path in job.splits.items()}


def predictions_frame(frame: pl.DataFrame, probabilities: np.ndarray, labels: tuple[str, ...]) -> pl.DataFrame:
    """Predictions as they go to disk: example, label, predicted, and `p_LABEL` for each label."""
    import polars as pl

    names = np.array(labels, dtype=object)
    return pl.DataFrame(
        {
            "example": frame["example"],
            "label": pl.Series(names[_labels(frame)], dtype=pl.String),
            "predicted": pl.Series(names[probabilities.argmax(axis=1)], dtype=pl.String),
            **{f"p_{label}": probabilities[:, index] for index, label in enumerate(labels)},
        }
    )


def _labels(frame: pl.DataFrame) -> np.ndarray:
    return frame["label"].to_numpy().astype(np.int64)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:500]


def _write_traceback(folder: RunFolder) -> None:
    import traceback

    (folder.path / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} logical processors)" if names else platform.processor()
