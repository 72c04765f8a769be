"""A transformer's run: loads, trains with every learning rate asked for, scores and saves."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thriftune.cost.measured.busy import NOT_COUNTED, busy_notes
from thriftune.cost.measured.environment import process_peak_bytes, use_all_processors
from thriftune.methods.base import TransformerMethod
from thriftune.results.cost import Cost
from thriftune.results.history import EpochPoint
from thriftune.results.run_folder import Embeddings, RunFolder
from thriftune.results.scores import Scores
from thriftune.results.training import Training, state_of
from thriftune.study.events import RunProgress
from thriftune.study.run.head_start import NO_STEPS
from thriftune.study.run.job import EVALUATED, Emit, Job, Outcome, RunError, first_line, label_ids, predictions_frame
from thriftune.study.run.rates import probed_rate
from thriftune.study.run.scores import score
from thriftune.study.run.tries import Trained, Tries

if TYPE_CHECKING:
    import polars as pl

    from thriftune.cost.measured.meter import CostMeter
    from thriftune.engine.batches import Examples
    from thriftune.engine.protocol import Protocol
    from thriftune.engine.train import Fit
    from thriftune.models.classifier import Classifier


def run_transformer(job: Job, folder: RunFolder, emit: Emit) -> Outcome:
    """Trains, tests and saves; raises `RunError` where training diverges or a GPU is too small."""
    import torch

    from thriftune.engine.train import DivergedError

    use_machine(job)
    try:
        return _run(job, folder, emit)
    except DivergedError as error:
        raise RunError("diverged", str(error)) from error
    except torch.OutOfMemoryError as error:
        raise RunError("out_of_memory", first_line(error)) from error


def use_machine(job: Job) -> None:
    """Sets the matrix precision and, on a CPU, as many threads as there are processors for this process."""
    from thriftune.engine.gpu.precision import use_precision

    use_precision(job.planned.protocol)
    if job.device == "cpu":
        use_all_processors()


def _run(job: Job, folder: RunFolder, emit: Emit) -> Outcome:
    import torch

    from thriftune.cost.measured.meter import CostMeter
    from thriftune.data.tokens import Tokens
    from thriftune.engine.batches import Examples
    from thriftune.models.trained.save import delta_bytes, save_classifier
    from thriftune.models.trained.usage import Reading
    from thriftune.study.run.promise import check_promise

    planned = job.planned
    frames = job.frames()
    tokens = {split: Tokens.load(path, mmap=True) for split, path in job.tokens.items()}
    examples = {split: Examples(tokens[split], label_ids(frame)) for split, frame in frames.items()}
    meter = CostMeter(tokens["train"].lengths, planned.seed)
    trained = train(job, examples, meter, emit)
    classifier, examples = trained.classifier, trained.examples
    emit(RunProgress(planned.name, "evaluating"))
    scores: dict[str, Scores] = {}
    evaluate_seconds = meter.evaluate_seconds + sum(
        part.prefix.seconds for split, part in examples.items() if part.prefix is not None and split in EVALUATED
    )
    for split in job.evaluated:
        started = time.perf_counter()
        kept = trained.fit.validation if split == "validation" else None
        if kept is not None:
            probabilities, vectors = _normalised(kept.logits), None
        else:
            probabilities, vectors = _probabilities(classifier, examples[split], job, embed=split == "test")
        evaluate_seconds += (time.perf_counter() - started) * (split in EVALUATED)
        scores[split] = score(examples[split].labels, probabilities, job.labels)
        folder.write_predictions(split, predictions_frame(frames[split], probabilities, job.labels))
        if vectors is not None:
            folder.write_embeddings(vectors)
    epochs, notes = finite_epochs(trained.fit.epochs)
    folder.write_history([*trained.fit.steps, *epochs])
    if len(trained.dynamics):
        folder.write_dynamics(dynamics_frame(frames["train"], trained.dynamics))
    protocol = planned.protocol
    reading = Reading(job.text_columns, protocol.max_tokens, job.pair, protocol.precision)
    stored = save_classifier(classifier, folder.model_path, reading)
    cost = _cost(job, trained, meter, evaluate_seconds, stored, delta_bytes(classifier))
    path = _path_note(classifier, protocol)
    busy = [] if job.device == "cuda" else busy_notes(cost, torch.get_num_threads())
    notes = [*classifier.notes, *path, *trained.fit.notes, *trained.notes, *notes, *busy]
    outcome = Outcome(
        trained.learning_rate,
        trained.fit.best_epoch,
        scores,
        cost,
        trained.search,
        notes,
        training_of(job, trained.fit),
    )
    # All costs are known: what comes now is charged to no one, and needs the memory.
    del trained, classifier, examples, meter
    check_promise(job, folder)
    return outcome


def training_of(job: Job, fit: Fit) -> Training:
    """How a run's training ended, for its record."""
    last = fit.epochs[-1]
    return Training(
        ended=fit.ended,
        steps=last.step,
        epochs=last.epoch,
        gain=fit.gain,
        noise=fit.noise,
        state=state_of(fit.ended, fit.gain, fit.noise, job.margin),
    )


def _path_note(classifier: Classifier, protocol: Protocol) -> list[str]:
    """Says so where a run had to pad although the protocol asks for none."""
    from thriftune.engine.forward import packs

    if protocol.padding != "none" or packs(classifier, protocol):
        return []
    why = "the method changes the input" if classifier.input_tuner else "the architecture has no packed forward"
    return [f"Batches were padded to their longest text (padding none is not possible: {why})."]


def train(job: Job, examples: dict[str, Examples], meter: CostMeter, emit: Emit) -> Trained:
    """Trains with every learning rate and keeps the best on validation; all of it is charged to the meter.

    `learning_rate: auto` tries its rates in short trainings, and trains the best one from the start.
    """
    method = job.planned.method
    assert isinstance(method, TransformerMethod)
    tries = Tries(job, examples, meter, emit)
    if method.probes:
        return tries.single(probed_rate(tries, method.RATE_GRID))
    if len(method.learning_rates) == 1:
        return tries.single(method.learning_rates[0])
    return tries.best_of(method.learning_rates)


def dynamics_frame(train: pl.DataFrame, true_probability: np.ndarray) -> pl.DataFrame:
    """Training dynamics as they go to disk: example, epoch (1-based), p_true; epoch by epoch in the split's order."""
    import polars as pl

    epochs, texts = true_probability.shape
    return pl.DataFrame(
        {
            "example": np.tile(train["example"].to_numpy(), epochs),
            "epoch": np.repeat(np.arange(1, epochs + 1, dtype=np.int32), texts),
            "p_true": true_probability.ravel(),
        }
    )


def finite_epochs(epochs: list[EpochPoint]) -> tuple[list[EpochPoint], list[str]]:
    """The epochs with a validation loss that is no number set to None, and a note for each of those."""
    points, notes = [], []
    for point in epochs:
        loss = point.validation_loss
        if loss is None or math.isfinite(loss):
            points.append(point)
        else:
            points.append(replace(point, validation_loss=None))
            notes.append(f"The validation loss of epoch {point.epoch} was {loss}.")
    return points, notes


def probabilities_of(classifier: Classifier, examples: Examples, job: Job) -> np.ndarray:
    """Probabilities of shape (texts, classes); raises `DivergedError` where the weights give none."""
    return _probabilities(classifier, examples, job, embed=False)[0]


def _probabilities(
    classifier: Classifier, examples: Examples, job: Job, embed: bool
) -> tuple[np.ndarray, Embeddings | None]:
    """Probabilities of shape (texts, classes), and the vectors of a sample if `embed`.

    Raises `DivergedError` where the weights give no finite logits.
    """
    from thriftune.engine.predict import predict, predict_and_embed, sampled_texts

    protocol, embeddings = job.planned.protocol, None
    if embed:
        rows = sampled_texts(len(examples))
        logits, vectors = predict_and_embed(classifier, examples, protocol, rows)
        embeddings = Embeddings(rows, vectors)
    else:
        logits = predict(classifier, examples, protocol)
    return _normalised(logits), embeddings


def _normalised(logits: np.ndarray) -> np.ndarray:
    """Probabilities of shape (texts, classes); raises `DivergedError` where the logits are not finite."""
    from thriftune.engine.predict import log_softmax
    from thriftune.engine.train import DivergedError

    if not np.isfinite(logits).all():
        raise DivergedError("the trained model's outputs are not finite numbers; try a smaller learning rate")
    return np.asarray(np.exp(log_softmax(logits)))


def _cost(job: Job, trained: Trained, meter: CostMeter, evaluate_seconds: float, stored: int, delta: int) -> Cost:
    from thriftune.models.pretrained.sources import weight_files

    counts, cut = trained.classifier.counts(), trained.classifier.cut
    layers = None if trained.classifier.family.layers is None else len(trained.classifier.layers)
    prefix = trained.examples["train"].prefix
    prefix_seconds = 0.0 if prefix is None else prefix.seconds
    return Cost(
        train_seconds=meter.train_seconds,
        prefix_seconds=prefix_seconds,
        prefix_reused=prefix is not None and prefix.reused,
        evaluate_seconds=evaluate_seconds,
        load_seconds=trained.load_seconds,
        samples_per_second=trained.texts / (meter.train_seconds + prefix_seconds) if trained.texts else None,
        peak_memory_bytes=meter.peak_memory_bytes,
        peak_reserved_bytes=meter.peak_reserved_bytes,
        peak_process_bytes=process_peak_bytes(),
        prefix_peak_memory_bytes=None if prefix is None else prefix.peak_memory_bytes,
        memory=meter.memory,
        trained_parameters=counts.trained,
        head_parameters=counts.head,
        total_parameters=counts.total,
        stored_bytes=stored,
        delta_bytes=delta,
        energy_joules=meter.energy_joules,
        reasons=dict(
            _reasons(
                *(meter, job.device == "cuda", prefix is not None, trained.classifier.family.why_no_layers),
                steps=trained.texts > 0,
            )
        ),
        step_seconds=meter.step_seconds,
        pass_seconds=meter.pass_seconds,
        layers=layers,
        gradient_layers=None if layers is None else layers - (cut or 0),
        pretrained_bytes=sum(path.stat().st_size for path in weight_files(trained.classifier.path)),
        adapter=trained.classifier.peft is not None,
        train_cpu_seconds=meter.processors.used,
        train_waited_seconds=meter.processors.waited,
    )


def _reasons(
    meter: CostMeter, cuda: bool, prefix: bool, no_layers: str, steps: bool = True
) -> Iterator[tuple[str, str]]:
    """Why a cost is not known, by its name."""
    if not steps:
        yield from dict.fromkeys(("samples_per_second", "step_seconds", "pass_seconds"), NO_STEPS).items()
    if no_layers:
        yield from dict.fromkeys(("layers", "gradient_layers"), no_layers).items()
    if not prefix:
        yield "prefix_peak_memory_bytes", "no prefix was computed"
    if not cuda:
        yield "peak_reserved_bytes", "only a GPU's allocator reserves memory"
    if meter.memory is None:
        yield "memory", "the probe saw more than the allocator handed out"
    if meter.pass_seconds is None and steps:
        yield "pass_seconds", "the method changes the input, so there is no forward without it"
    if meter.processors.waited is None:
        yield "train_waited_seconds", NOT_COUNTED
    if meter.energy_joules is None:
        yield "energy_joules", "the GPU does not report it" if cuda else "no GPU that reports it"
