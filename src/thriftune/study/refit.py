"""Trains a run's method once more on more of the data, for use: with what the study chose, without a test score."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thriftune.cost.measured.environment import environment
from thriftune.engine.hooks import DivergedError
from thriftune.engine.protocol import Budget
from thriftune.errors import InputError
from thriftune.methods.base import Baseline, Labelled, TransformerMethod
from thriftune.methods.embeddings import Embeddings
from thriftune.results.files import checksums, delete, flush, read_json, write_json
from thriftune.results.models.baseline import BaselineModel
from thriftune.results.models.refitted import FILE, Refitted
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import ascii_name
from thriftune.results.store import Results
from thriftune.study.events import Listener, RunProgress, RunStarted, StudyPlanned
from thriftune.study.file.config import Study, load_study, study_from_dict, study_to_dict
from thriftune.study.file.plan import PlannedRun, plan
from thriftune.study.folder import WORK, alone_in
from thriftune.study.jobs import device_type, with_precision
from thriftune.study.preparation.prepare import prepare, read, text_columns
from thriftune.study.run.job import Emit, Job, RunError, label_ids

if TYPE_CHECKING:
    import polars as pl

    from thriftune.data.dataset import Dataset

OLD_NOTE = re.compile(r"logistic regression on what it reads of the texts, C ([0-9.e+-]+[0-9])")
"""Where records of earlier versions have the C of a solved head, in three digits."""


@dataclass(frozen=True)
class Fitted:
    """What a training for use left in its folder."""

    epochs: int | None
    steps: int | None
    stored_bytes: int
    notes: list[str]


def refit(
    results: Results, record: RunRecord, expected: dict[str, Any], everything: bool, listen: Listener | None = None
) -> Path:
    """Trains a done run's method on train and validation (`everything`: on test too); returns `OUT/refit/NAME`.

    Settings are the run's; what it chose on validation is fixed. `expected` is the study's score, which `refit.json`
    keeps. Raises `InputError` where the data are no longer those of the study, another process writes to the folder,
    or training ends in no number; an interrupt leaves what was there before.
    """
    listen = listen or (lambda event: None)
    store = results.store
    folder = store.refit_path / f"{ascii_name(record.cell)}-seed{record.seed}{'-all' if everything else ''}"
    new = folder.with_name(f".{folder.name}.new")
    with alone_in(store.path):
        loaded = load_study(store.study_path)
        fixed, planned, chosen = _fixed(loaded, record, store.run(record.run_id).model_path)
        dataset = _read(loaded, record, results, listen)
        wanted = ("train", "validation", "test") if everything else ("train", "validation")
        parts = [split for split in wanted if split in dataset.splits]
        merged = _merged(dataset, parts)
        try:
            prepared = prepare(fixed, [planned], merged, store.path / WORK, listen)
            delete(new)
            (new / "model").mkdir(parents=True)
            device = device_type(planned)
            planned, _ = with_precision(planned, device)
            job = Job(
                planned=planned,
                run_id=record.run_id,
                labels=dataset.labels,
                text_columns=text_columns(dataset, planned),
                splits={"train": prepared.split_path("train")},
                tokens={} if planned.model is None else {"train": prepared.tokens_path(fixed, planned, "train")},
                model=None if planned.model is None else prepared.models.get(planned.model),
                device=device,
                out=new,
                pair=fixed.data.pair,
                robustness={},
                head_c=chosen.get("head_c"),
            )
            listen(StudyPlanned([planned.name], []))
            listen(RunStarted(planned.name, 1, 1))
            started = time.perf_counter()
            fitted = _trained(job, store.run(record.run_id).model_path, listen)
            about = Refitted(
                run_id=record.run_id,
                name=record.name,
                trained_on=parts,
                rows=merged.splits["train"].height,
                study_rows=dataset.splits["train"].height,
                method=planned.method.flat(),
                seed=record.seed,
                chosen=chosen,
                epochs=fitted.epochs,
                steps=fitted.steps,
                seconds=time.perf_counter() - started,
                stored_bytes=fitted.stored_bytes,
                expected=expected,
                notes=fitted.notes,
                environment=environment(job.device, training=planned.method.NEEDS_MODEL),
                files=checksums(new / "model", without=["README.md"]),
            )
            write_json(new / FILE, {"schema_version": 1, **asdict(about)})
            _put(new, folder)
        finally:
            delete(store.path / WORK)
            delete(new)
            if store.refit_path.is_dir() and not any(store.refit_path.iterdir()):
                store.refit_path.rmdir()
    return folder


def _put(new: Path, folder: Path) -> None:
    """Puts a finished folder in its place."""
    old = folder.with_name(f".{folder.name}.old")
    delete(old)
    if folder.exists() or folder.is_symlink():
        folder.rename(old)
    new.rename(folder)
    flush(folder.parent)
    delete(old)


def _read(study: Study, record: RunRecord, results: Results, listen: Listener) -> Dataset:
    """The study's data in its splits; raises `InputError` where they are others now."""
    runs = [run for run in plan(study) if run.name == record.name]
    dataset = read(study, runs, listen)
    if dataset.fingerprint != results.study.profile.fingerprint:
        raise InputError(
            f"The data of {results.store.study_path} have changed since the study ran: what it chose was chosen on "
            "others. Run the study on them: thriftune compare."
        )
    return dataset


def _merged(dataset: Dataset, parts: list[str]) -> Dataset:
    """The dataset with these splits as its training texts; its test texts stay beside them and are not used."""
    import polars as pl

    columns = ["example", *dataset.text_columns, "label"]
    train: pl.DataFrame = pl.concat([dataset.splits[split][columns] for split in parts])
    return replace(dataset, splits={"train": train, "test": dataset.splits["test"][columns]}, robustness={}, group=None)


def _fixed(study: Study, record: RunRecord, model: Path) -> tuple[Study, PlannedRun, dict[str, Any]]:
    """A study of this one run, with nothing left to choose; the run, and what the study chose for it."""
    planned = next((run for run in plan(study) if run.name == record.name), None)
    if planned is None:
        raise InputError(f'{study.folder / "study.yaml"} has no run called "{record.name}". Run the study again.')
    settings = {key: value for key, value in record.method.items() if key != "name"}
    chosen: dict[str, Any] = {}
    entry: dict[str, Any] = {"name": record.cell, "model": planned.model, "seed": record.seed}
    if isinstance(planned.method, TransformerMethod):
        rate = record.learning_rate
        if rate is None:  # the head was solved, and no step was run
            rate = planned.method.learning_rates[0]
        settings["learning_rate"] = rate
        protocol, epochs = fixed_protocol(record)
        entry |= {"head": record.head, "protocol": protocol}
        chosen = {"learning_rate": rate, "epochs": epochs} if record.learning_rate is not None else {}
        if settings.get("head_start") == "solved":
            chosen["head_c"] = _head_c(record)
    elif isinstance(planned.method, Embeddings):
        found = read_json(model / "settings.json")
        chosen = {key: found[key] for key in ("regularization", "class_weight")}
        settings |= chosen
        entry["protocol"] = {key: record.protocol[key] for key in ("max_tokens", "precision", "padding", "device")}
    elif (model / "settings.json").is_file():
        found = read_json(model / "settings.json")
        chosen = {key: found.get(key) for key in ("ngrams", "classifier", "regularization", "scale")}
    entry["method"] = {record.method["name"]: settings}
    data = study_to_dict(study)
    alone = {"name": data["name"], "data": data["data"], "runs": [entry]}
    fixed = study_from_dict(alone, study.folder, "the refit")
    return fixed, plan(fixed)[0], chosen


def fixed_protocol(record: RunRecord) -> tuple[dict[str, Any], float]:
    """The run's protocol with a fixed number of epochs and the last weights kept; and how many epochs its kept had."""
    protocol = dict(record.protocol)
    if record.fitted_batch is not None:
        protocol |= asdict(record.fitted_batch)
    schedule = dict(protocol["schedule"])
    if schedule["type"] == "auto" and protocol["epochs"] == "auto":
        schedule["type"] = "stable"
    if schedule["type"] == "plateau":  # there is no validation to listen to
        schedule |= {"type": "constant", "factor": None, "patience": None}
    took = float(record.best_epoch or (record.training.epochs if record.training else 1))
    epochs = max(1, int(took + 0.5))
    protocol |= {"epochs": epochs, "keep": "last", "early_stopping": None, "schedule": schedule}
    return protocol | {"budget": asdict(Budget())}, took


def _head_c(record: RunRecord) -> float:
    if record.training is not None and record.training.head_c is not None:
        return record.training.head_c
    for note in record.notes:
        if found := OLD_NOTE.search(note):
            return float(found[1])
    raise InputError(f"The record of {record.name} does not say with which C its head was solved. Train it again.")


def _trained(job: Job, model: Path, listen: Listener) -> Fitted:
    """Trains and saves; raises `InputError` where training diverges, or a GPU is too small."""
    method = job.planned.method
    train: Callable[[Job, Path, Emit], Fitted] = _transformer
    if isinstance(method, Baseline | Embeddings):
        train = _baseline if isinstance(method, Baseline) else _embeddings
    try:
        return train(job, model, listen)
    except (RunError, DivergedError) as error:
        raise InputError(f"The refit of {job.planned.name} ended without a model: {error}.") from error


def _baseline(job: Job, model: Path, emit: Emit) -> Fitted:
    from thriftune.methods import tfidf

    method, frame = job.planned.method, job.frames()["train"]
    assert isinstance(method, Baseline)
    emit(RunProgress(job.planned.name, "training"))
    train = Labelled([frame[name].to_list() for name in job.text_columns], label_ids(frame))
    fitted: Any
    if isinstance(method, tfidf.Tfidf):
        fitted = tfidf.again(tfidf.load(model), train, len(job.labels), job.planned.seed)
    else:
        fitted = method.fit(train, len(job.labels), job.planned.seed)
    stored = fitted.save(job.out / "model")
    BaselineModel(method.NAME, tuple(job.labels), job.text_columns).write(job.out / "model")
    return Fitted(None, None, stored, list(fitted.notes))


def _embeddings(job: Job, model: Path, emit: Emit) -> Fitted:
    from thriftune.engine.frozen.embed import as_frozen, embed
    from thriftune.results.run_folder import RunFolder
    from thriftune.study.run.embeddings_run import fit_vectors, load_encoder, save_vectors, vectors
    from thriftune.study.run.training import frozen_layers, use_machine

    use_machine(job)
    method, frames = job.planned.method, job.frames(texts=False)
    assert isinstance(method, Embeddings)
    examples = job.examples(frames)
    frozen = replace(frozen_layers(job, examples, emit), protocol=as_frozen(job.planned.protocol))
    classifier, notes = load_encoder(job, method, frozen)
    embedded = embed(classifier, frozen.splits, frozen.protocol, frozen.cache, frozen.report)
    emit(RunProgress(job.planned.name, "training"))
    fitted = fit_vectors(job, method, {"train": vectors(embedded["train"].values, method.normalize)}, examples)
    stored = save_vectors(job, method, classifier, fitted, RunFolder(job.out))
    return Fitted(None, None, stored, [*classifier.notes, *notes, *fitted.notes])


def _transformer(job: Job, model: Path, emit: Emit) -> Fitted:
    from thriftune.cost.measured.meter import CostMeter
    from thriftune.engine.protocol import ran
    from thriftune.models.trained.save import save_classifier
    from thriftune.models.trained.usage import Reading
    from thriftune.study.run.training import Trainer, use_machine

    use_machine(job)
    planned, examples = job.planned, job.examples(job.frames(texts=False))
    method, protocol = planned.method, planned.protocol
    assert isinstance(method, TransformerMethod)
    meter = CostMeter(examples["train"].tokens.lengths, planned.seed)
    trainer = Trainer(job, examples, meter, emit)
    trained = trainer.train(method.learning_rates[0])
    reading = Reading(job.text_columns, protocol.max_tokens, job.pair, ran(protocol))
    stored = save_classifier(trained.classifier, job.out / "model", reading)
    solved = trained.learning_rate is None
    last = trained.fit.epochs[-1]
    notes = [*trained.classifier.notes, *trained.fit.notes, *trainer.notes]
    return Fitted(None if solved else int(last.epoch), None if solved else last.step, stored, notes)
