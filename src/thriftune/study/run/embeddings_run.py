"""A run of frozen embeddings: one pass through the encoder, a regression on the vectors, scores, what is stored."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thriftune.cost.measured import arrays
from thriftune.cost.measured.arrays import LiveArrays
from thriftune.cost.measured.busy import NOT_COUNTED, busy_notes
from thriftune.cost.measured.environment import process_peak_bytes
from thriftune.cost.measured.growth import NOT_TOLD, Growth
from thriftune.errors import first_line
from thriftune.methods.embeddings import Embeddings as Method
from thriftune.methods.linear.regression import Regression, Vectors, fit_regression
from thriftune.processors import ProcessorTime
from thriftune.results.cost import Cost
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import Embeddings, RunFolder
from thriftune.study.events import RunProgress
from thriftune.study.run.job import EVALUATED, Emit, Job, RunError, done_record
from thriftune.study.run.scores import evaluate
from thriftune.study.run.training import frozen_layers, use_machine
from thriftune.study.run.transformer_run import in_use

if TYPE_CHECKING:
    from thriftune.engine.examples import Examples
    from thriftune.engine.frozen.layers import FrozenLayers
    from thriftune.models.classifier import Classifier


def run_embeddings(job: Job, folder: RunFolder, emit: Emit) -> RunRecord:
    """Embeds every split, fits and chooses the regression, tests and saves it.

    Raises `RunError` where the vectors are not finite or a GPU is too small.
    """
    import torch

    use_machine(job)
    try:
        return _run(job, folder, emit)
    except torch.OutOfMemoryError as error:
        raise RunError("out_of_memory", first_line(error)) from error


def _run(job: Job, folder: RunFolder, emit: Emit) -> RunRecord:
    # The first import of a library takes seconds that are no training.
    import sklearn.linear_model  # noqa: F401
    import torch

    from thriftune.engine.frozen.embed import as_frozen, embed
    from thriftune.models.pretrained.folder import weight_files

    planned, method, frames = job.planned, job.planned.method, job.frames(texts=False)
    assert isinstance(method, Method)
    examples = job.examples(frames)
    frozen = replace(frozen_layers(job, examples, emit), protocol=as_frozen(planned.protocol))
    emit(RunProgress(planned.name, "loading"))
    started = time.perf_counter()
    classifier, notes = load_encoder(job, method, frozen)
    load_seconds = time.perf_counter() - started
    embedded = embed(
        *(classifier, frozen.splits, frozen.protocol, frozen.cache),
        *(frozen.report, frozen.peak_of, frozen.further),
    )
    values = {split: vectors(part.values, method.normalize) for split, part in embedded.items()}
    emit(RunProgress(planned.name, "training"))
    growth, live = Growth.begin(), LiveArrays.begin()
    started, before = time.perf_counter(), ProcessorTime.now()
    fitted = fit_vectors(job, method, values, examples)
    train_seconds, processors = time.perf_counter() - started, ProcessorTime.now().since(before)
    alive, rose = live.end(), growth.end()
    if alive is not None:  # the vectors are the cache that a head's training reads
        alive += sum(values[split].nbytes for split in ("train", "validation") if split in values)
    scores, evaluate_seconds = evaluate(
        job, folder, emit, frames, job.evaluated, lambda split: fitted.probabilities(values[split])
    )
    evaluate_seconds += sum(part.seconds for split, part in embedded.items() if split in EVALUATED)
    emit(RunProgress(planned.name, "storing"))
    folder.write_embeddings(_sample(values["test"]))
    stored = save_vectors(job, method, classifier, fitted, folder)
    cost = Cost(
        train_seconds=train_seconds,
        prefix_seconds=embedded["train"].seconds,
        prefix_reused=embedded["train"].reused,
        evaluate_seconds=evaluate_seconds,
        load_seconds=load_seconds,
        samples_per_second=None,
        peak_memory_bytes=None,
        peak_reserved_bytes=None,
        peak_process_bytes=process_peak_bytes(),
        prefix_peak_memory_bytes=embedded["train"].peak_memory_bytes,
        memory=None,
        trained_parameters=fitted.weight.size + fitted.bias.size,
        head_parameters=fitted.weight.size + fitted.bias.size,
        total_parameters=classifier.counts().total,
        stored_bytes=stored,
        delta_bytes=fitted.weight.nbytes + fitted.bias.nbytes,
        energy_joules=None,
        reasons=dict(_reasons(classifier, processors.waited is None, alive is None, rose is None)),
        layers=None if classifier.family.layers is None else len(classifier.layers),
        gradient_layers=None if classifier.family.layers is None else 0,
        pretrained_bytes=sum(path.stat().st_size for path in weight_files(classifier.path)),
        adapter=True,
        train_cpu_seconds=processors.used,
        train_waited_seconds=processors.waited,
        threads=torch.get_num_threads(),
        fit_memory_bytes=alive,
        fit_process_bytes=rose,
    )
    notes = [*classifier.notes, *notes, *fitted.notes, *busy_notes(cost, torch.get_num_threads())]
    # All costs are known: what comes now is charged to no one.
    del classifier, examples
    return in_use(done_record(job, scores, cost, notes), job, folder, emit)


def vectors(values: np.ndarray, normalize: bool) -> np.ndarray:
    """Vectors (texts, hidden) as the regression reads them: with `normalize` of length 1.

    Raises `RunError` where they are not finite numbers.
    """
    if not np.isfinite(values).all():
        raise RunError("failed", "the model's vectors are not finite numbers, so nothing can be fitted to them")
    if not normalize:
        return np.array(values)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12))


def load_encoder(job: Job, method: Method, frozen: FrozenLayers) -> tuple[Classifier, list[str]]:
    """The pretrained encoder under the head whose input is the vector; without weights where one pass reads them."""
    from thriftune.engine.sides import settle_side
    from thriftune.models.pretrained.load import load_classifier, skeleton

    assert job.model is not None
    planned = job.planned
    head, notes = method.head_for(job.model)
    without = frozen.plan(skeleton(job.model, job.labels, head, planned.model))
    classifier = load_classifier(job.model, job.labels, head, planned.model, planned.seed, without or None)
    classifier.move(job.device)
    settle_side(classifier, frozen.splits["train"].tokens, frozen.protocol)
    return classifier, notes


def fit_vectors(job: Job, method: Method, values: dict[str, np.ndarray], examples: dict[str, Examples]) -> Regression:
    return fit_regression(
        Vectors(values["train"], examples["train"].labels),
        Vectors(values["validation"], examples["validation"].labels) if "validation" in values else None,
        classes=len(job.labels),
        strength=None if method.regularization == "auto" else float(method.regularization),
        balanced=None if method.class_weight == "auto" else method.class_weight == "balanced",
        select=job.planned.protocol.select,
        seed=job.planned.seed,
    )


def _sample(values: np.ndarray) -> Embeddings:
    """The vectors of a sample of the test texts, as other runs keep them."""
    from thriftune.engine.predict import sampled_texts

    rows, limit = sampled_texts(len(values)), float(np.finfo(np.float16).max)
    return Embeddings(rows, values[rows].clip(-limit, limit).astype(np.float16))


def save_vectors(job: Job, method: Method, classifier: Classifier, fitted: Regression, folder: RunFolder) -> int:
    from thriftune.engine.frozen.embed import as_frozen, ran_in
    from thriftune.models.trained.save import save_frozen
    from thriftune.models.trained.usage import Reading

    protocol = as_frozen(job.planned.protocol)
    reading = Reading(job.text_columns, protocol.max_tokens, job.pair, ran_in(classifier, protocol))
    settings = {
        "labels": list(job.labels),
        "pooling": "first" if classifier.head.type == "linear" else "mean",
        "normalize": method.normalize,
        "regularization": fitted.setting.strength,
        "class_weight": "balanced" if fitted.setting.balanced else "none",
    }
    return save_frozen(
        classifier,
        fitted.weight,
        fitted.bias,
        folder.model_path,
        reading,
        normalize=method.normalize,
        settings=settings,
    )


def _reasons(
    classifier: Classifier, waits_unknown: bool, arrays_unknown: bool, growth_unknown: bool
) -> Iterator[tuple[str, str]]:
    """Why a cost is not known, by its name."""
    no_steps = "a baseline has no training steps"
    no_tensors = "the regression trains without tensors; see prefix_peak_memory_bytes and fit_memory_bytes"
    yield from dict.fromkeys(("samples_per_second", "step_seconds", "pass_seconds", "search_seconds"), no_steps).items()
    yield from dict.fromkeys(("peak_memory_bytes", "peak_reserved_bytes", "memory"), no_tensors).items()
    if classifier.family.layers is None:
        yield from dict.fromkeys(("layers", "gradient_layers"), classifier.family.why_no_layers).items()
    if waits_unknown:
        yield "train_waited_seconds", NOT_COUNTED
    if arrays_unknown:
        yield "fit_memory_bytes", arrays.NOT_COUNTED
    if growth_unknown:
        yield "fit_process_bytes", NOT_TOLD
    yield "energy_joules", "only training steps are metered"
