"""A transformer's run: loads, trains with every learning rate asked for, scores and saves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from thriftune.cost.measured.busy import NOT_COUNTED, busy_notes
from thriftune.cost.measured.environment import process_peak_bytes
from thriftune.data.large.arrays import blocks
from thriftune.engine.hooks import DivergedError
from thriftune.engine.protocol import ran
from thriftune.errors import first_line
from thriftune.results.cost import Cost
from thriftune.results.files import read_rows
from thriftune.results.history import EpochPoint
from thriftune.results.record import RunRecord
from thriftune.results.run_folder import Embeddings, RunFolder
from thriftune.results.scores import Scores
from thriftune.results.training import Training, state_of
from thriftune.study.events import Notice, RunProgress
from thriftune.study.run.job import EVALUATED, Emit, Job, RunError, done_record
from thriftune.study.run.rate_search import train
from thriftune.study.run.scores import TEXTS_AT_ONCE, Chances, evaluate
from thriftune.study.run.solved_head import NO_STEPS
from thriftune.study.run.team.costs import shared_cost, shared_notes
from thriftune.study.run.team.count import threads_of
from thriftune.study.run.team.together import together
from thriftune.study.run.training import Trained, Trainer, use_machine
from thriftune.wording import plural, seconds

if TYPE_CHECKING:
    import polars as pl

    from thriftune.cost.measured.meter import CostMeter
    from thriftune.engine.examples import Examples
    from thriftune.engine.parallel.team import Team
    from thriftune.engine.protocol import Protocol
    from thriftune.engine.resume.saver import Checkpoints
    from thriftune.engine.train import Fit
    from thriftune.models.classifier import Classifier


def run_transformer(job: Job, folder: RunFolder, emit: Emit) -> RunRecord:
    """Trains, tests and saves; raises `RunError` where training diverges or a GPU is too small."""
    import torch

    use_machine(job, threads_of(job))
    try:
        with ExitStack() as stack:
            # Before anything has threads, which a fork would lose.
            team = stack.enter_context(together(job))
            return _resumable(job, folder, emit, stack, team)
    except DivergedError as error:
        raise RunError("diverged", str(error)) from error
    except torch.OutOfMemoryError as error:
        raise RunError("out_of_memory", first_line(error)) from error


def say_of(job: Job, emit: Emit) -> Callable[[str], None]:
    """Puts a sentence on the screen, with the run's name."""
    return lambda text: emit(Notice(f"{job.planned.name}: {text}"))


def _resumable(job: Job, folder: RunFolder, emit: Emit, stack: ExitStack, team: Team | None) -> RunRecord:
    from thriftune.engine.resume.open import open_checkpoints

    settings = {"method": job.planned.method.flat(), "head_c": job.head_c}
    checkpoints = open_checkpoints(
        folder.checkpoint_path, job.run_id, job.planned.protocol, settings, job.device, say_of(job, emit)
    )
    if checkpoints is not None:
        stack.callback(checkpoints.close)
    return _run(job, folder, emit, checkpoints, stack, team)


def _run(
    job: Job,
    folder: RunFolder,
    emit: Emit,
    checkpoints: Checkpoints | None,
    stack: ExitStack,
    team: Team | None,
) -> RunRecord:
    import torch

    from thriftune.cost.measured.meter import CostMeter
    from thriftune.models.trained.save import delta_bytes, save_classifier
    from thriftune.models.trained.usage import Reading

    planned, protocol, frames = job.planned, job.planned.protocol, job.frames(texts=False)
    texts = job.examples(frames)
    meter = CostMeter(texts["train"].tokens.lengths, planned.seed)
    trainer = Trainer(job, texts, meter, emit, checkpoints)  # plans what of the model is loaded
    trained, search = train(trainer)  # for each rate: loads the model, runs the frozen layers, trains the others
    classifier, texts, fit = trained.classifier, trained.examples, trained.fit
    scores, evaluate_seconds = _score(job, folder, emit, frames, trained)
    evaluate_seconds += meter.evaluate_seconds + sum(
        part.prefix.seconds for split, part in texts.items() if part.prefix is not None and split in EVALUATED
    )
    emit(RunProgress(planned.name, "storing"))
    epochs, notes = finite_epochs(fit.epochs)
    folder.write_history([*fit.steps, *epochs])
    if len(trained.dynamics):
        folder.write_dynamics_parts(dynamics_frames(frames["train"], trained.dynamics))
    reading = Reading(job.text_columns, protocol.max_tokens, job.pair, ran(protocol))
    stored = save_classifier(classifier, folder.model_path, reading)
    cost = _cost(job, trained, trainer, meter, evaluate_seconds, stored, delta_bytes(classifier))
    cost = shared_cost(cost, team)
    path = _path_note(classifier, protocol)
    busy = [] if job.device == "cuda" else busy_notes(cost, torch.get_num_threads())
    resumed = [] if checkpoints is None else [*resumed_notes(checkpoints), *checkpoints.notes]
    notes = [*classifier.notes, *path, *fit.notes, *trainer.notes, *notes, *busy, *resumed, *shared_notes(cost)]
    record = done_record(
        job,
        scores,
        cost,
        notes,
        learning_rate=trained.learning_rate,
        best_epoch=fit.best_epoch,
        search=search,
        training=replace(training_of(job, fit, checkpoints), head_c=trainer.head_c),
    )
    # All costs are known: what comes now is charged to no one, and needs the memory.
    del trainer, trained, classifier, texts, fit, meter
    stack.close()
    use_machine(job)
    return in_use(record, job, folder, emit)


def in_use(record: RunRecord, job: Job, folder: RunFolder, emit: Emit) -> RunRecord:
    """The record with what its stored model costs in use, on texts of the test split, once it keeps its promise.

    Raises `RunError` where it does not (`check_promise`).
    """
    from thriftune.cost.measured.predicting import measure_stored, sampled_rows, with_predicting
    from thriftune.data.tokens import Tokens
    from thriftune.study.run.promise import check_promise

    emit(RunProgress(job.planned.name, "checking"))
    check_promise(job, folder)
    emit(RunProgress(job.planned.name, "measuring"))
    assert record.cost is not None
    count = len(Tokens.load(job.tokens["test"], mmap=True))
    test = read_rows(job.splits["test"], sampled_rows(count), job.text_columns)
    texts = [test[name].to_list() for name in job.text_columns]
    found = measure_stored(folder.model_path, job.model, job.device, texts)
    return replace(record, cost=with_predicting(record.cost, found))


def _score(
    job: Job, folder: RunFolder, emit: Emit, frames: dict[str, pl.DataFrame], trained: Trained
) -> tuple[dict[str, Scores], float]:
    """Scores every split, and keeps the vectors of a sample of the test texts; what training saw is not run again."""
    from thriftune.engine.predict import predict_and_embed, sampled_texts

    vectors: list[Embeddings] = []

    def probabilities(split: str) -> Chances:
        examples, kept = trained.examples[split], trained.fit.validation
        if split == "validation" and kept is not None:
            return _normalised(kept.logits)
        if split != "test":
            return probabilities_of(trained.classifier, examples, job)
        rows = sampled_texts(len(examples))
        logits, read = predict_and_embed(trained.classifier, examples, job.planned.protocol, rows)
        vectors.append(Embeddings(rows, read))
        return _normalised(logits)

    found = evaluate(job, folder, emit, frames, job.evaluated, probabilities)
    for each in vectors:
        folder.write_embeddings(each)
    return found


def training_of(job: Job, fit: Fit, checkpoints: Checkpoints | None = None) -> Training:
    """How a run's training ended, for its record, and how often it was interrupted."""
    last = fit.epochs[-1]
    reached = None if checkpoints is None else checkpoints.reached
    return Training(
        ended=fit.ended,
        steps=last.step,
        epochs=last.epoch,
        gain=fit.gain,
        noise=fit.noise,
        state=state_of(fit.ended, fit.gain, fit.noise, job.margin),
        resumed=0 if reached is None else reached.resumed,
        uncounted_seconds=0.0 if reached is None else reached.uncounted,
        checkpoint_seconds=0.0 if checkpoints is None else checkpoints.seconds,
    )


def resumed_notes(checkpoints: Checkpoints) -> list[str]:
    """Says so where a run was interrupted, and what that cost."""
    reached = checkpoints.reached
    if not reached.resumed:
        return []
    return [
        f"The run went on from a checkpoint {plural(reached.resumed, 'time')}; {seconds(reached.uncounted)} of work "
        "that was done again for it are in no cost."
    ]


def _path_note(classifier: Classifier, protocol: Protocol) -> list[str]:
    """Says so where a run had to pad although the protocol asks for none."""
    from thriftune.engine.forward import packs

    if protocol.padding != "none" or packs(classifier, protocol):
        return []
    why = "the method changes the input" if classifier.input_tuner else "the architecture has no packed forward"
    return [f"Batches were padded to their longest text (padding none is not possible: {why})."]


def dynamics_frames(train: pl.DataFrame, true_probability: np.ndarray) -> Iterator[pl.DataFrame]:
    """Training dynamics as they go to disk: example, epoch (1-based), p_true; epoch by epoch in the split's order."""
    import polars as pl

    for epoch, values in enumerate(true_probability, start=1):
        yield pl.DataFrame(
            {
                "example": train["example"],
                "epoch": pl.repeat(epoch, len(values), dtype=pl.Int32, eager=True),
                "p_true": np.asarray(values),
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


def probabilities_of(classifier: Classifier, examples: Examples, job: Job) -> Chances:
    """Probabilities of shape (texts, classes); raises `DivergedError` where the weights give none."""
    from thriftune.engine.predict import predict

    return _normalised(predict(classifier, examples, job.planned.protocol))


class Softmax:
    """The probabilities that logits (texts, classes) stand for, computed when they are asked for."""

    def __init__(self, logits: np.ndarray) -> None:
        self._logits = logits
        self._last: tuple[slice, np.ndarray] | None = None
        """Of the part that was asked for last, which is often asked for again."""

    def __len__(self) -> int:
        return len(self._logits)

    def __getitem__(self, part: slice) -> np.ndarray:
        from thriftune.engine.predict import log_softmax

        if self._last is None or self._last[0] != part:
            self._last = part, np.asarray(np.exp(log_softmax(self._logits[part])))
        return self._last[1]


def _normalised(logits: np.ndarray) -> Chances:
    """Probabilities of shape (texts, classes); raises `DivergedError` where the logits are not finite."""
    if not all(np.isfinite(logits[part]).all() for part in blocks(len(logits), TEXTS_AT_ONCE)):
        raise DivergedError("the trained model's outputs are not finite numbers; try a smaller learning rate")
    return Softmax(logits)


def _cost(
    job: Job, trained: Trained, trainer: Trainer, meter: CostMeter, evaluate_seconds: float, stored: int, delta: int
) -> Cost:
    import torch

    from thriftune.models.pretrained.sources import weight_files

    counts, cut = trained.classifier.counts(), trained.classifier.cut
    layers = None if trained.classifier.family.layers is None else len(trained.classifier.layers)
    prefix = trained.examples["train"].prefix
    prefix_seconds = 0.0 if prefix is None else prefix.seconds
    return Cost(
        train_seconds=meter.train_seconds,
        prefix_seconds=prefix_seconds,
        prefix_reused=prefix is not None and prefix.reused and not trainer.prefix_made,
        evaluate_seconds=evaluate_seconds,
        load_seconds=trainer.load_seconds,
        samples_per_second=trainer.texts / (meter.train_seconds + prefix_seconds) if trainer.texts else None,
        peak_memory_bytes=meter.peak_memory_bytes,
        peak_reserved_bytes=meter.peak_reserved_bytes,
        peak_process_bytes=max(trainer.process_peak_bytes, process_peak_bytes()),
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
                steps=trainer.texts > 0,
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
        threads=torch.get_num_threads(),
        search_seconds=trainer.step_seconds - trained.seconds if trainer.texts else None,
    )


def _reasons(
    meter: CostMeter, cuda: bool, prefix: bool, no_layers: str, steps: bool = True
) -> Iterator[tuple[str, str]]:
    """Why a cost is not known, by its name."""
    if not steps:
        unknown = ("samples_per_second", "step_seconds", "pass_seconds", "search_seconds")
        yield from dict.fromkeys(unknown, NO_STEPS).items()
    if no_layers:
        yield from dict.fromkeys(("layers", "gradient_layers"), no_layers).items()
    if not prefix:
        yield "prefix_peak_memory_bytes", "no prefix was computed"
    for name in ("fit_memory_bytes", "fit_process_bytes"):
        yield name, "training has steps: see peak_memory_bytes"
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
