"""Solves a run's head before its first step, and is the whole run where nothing else is trained."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from thriftune.methods.base import TransformerMethod
from thriftune.results.cost import Memory
from thriftune.results.history import EpochPoint
from thriftune.study.events import RunProgress

if TYPE_CHECKING:
    import torch

    from thriftune.cost.measured.meter import CostMeter
    from thriftune.engine.examples import Examples
    from thriftune.engine.solved.solve import Labelled, Solution
    from thriftune.engine.train import Fit
    from thriftune.models.classifier import Classifier
    from thriftune.study.file.plan import PlannedRun
    from thriftune.study.run.job import Emit

NO_STEPS = "the head was solved: there were no training steps"


class SolvedHead:
    """Begins the heads of a run's trainings as its method says; a head is solved once for all learning rates."""

    def __init__(self, planned: PlannedRun, meter: CostMeter, emit: Emit, c: float | None = None) -> None:
        assert isinstance(planned.method, TransformerMethod)
        self.notes: list[str] = []
        self._planned, self._meter, self._emit = planned, meter, emit
        self._solved = planned.method.head_start == "solved"
        self._solution: Solution | None = None
        self._seconds = 0.0
        self._given = c

    @property
    def c(self) -> float | None:
        """The strength of the solved head; None where none was solved."""
        return None if self._solution is None else self._solution.c

    def begin(self, classifier: Classifier, examples: dict[str, Examples]) -> tuple[Fit, np.ndarray] | None:
        """Puts the solved head into a classifier where the method asks for one.

        Where that is all there is to train, what a training would have given: its `Fit`, and the probability of each
        training text's true label, (1, texts).

        Raises `InputError` where the head has no last Linear to solve, `DivergedError` where what it reads is not
        finite.
        """
        if not self._solved:
            return None
        import torch

        from thriftune.engine.solved.features import is_all, last_linear

        linear = last_linear(classifier)
        if self._solution is None:
            self._emit(RunProgress(self._planned.name, "training"))
            self._solution = self._solve(classifier, examples)
            self.notes.append(_note(self._solution, self._given is not None))
        with torch.no_grad():
            linear.weight.copy_(self._solution.weight)
            if self._solution.bias is not None:
                linear.bias.copy_(self._solution.bias)
        return self._answer(classifier, examples) if is_all(classifier, linear) else None

    def _answer(self, classifier: Classifier, examples: dict[str, Examples]) -> tuple[Fit, np.ndarray]:
        """What a training would have given: scores, how sure the head is of each training text, and one epoch."""
        from thriftune.engine.predict import QuickScores, log_softmax, predict, quick_scores
        from thriftune.engine.train import Fit

        protocol, train = self._planned.protocol, examples["train"]
        logs = log_softmax(predict(classifier, train, protocol))
        true = logs[np.arange(len(train)), train.labels]
        scores: QuickScores | None = None
        if "validation" in examples:
            started = time.perf_counter()
            scores = quick_scores(classifier, examples["validation"], protocol)
            self._meter.evaluated(time.perf_counter() - started)
        point = EpochPoint(
            epoch=1,
            step=0,
            train_loss=float(-true.mean()),
            train_accuracy=float((logs.argmax(axis=1) == train.labels).mean()),
            validation_loss=None if scores is None else scores.loss,
            validation_accuracy=None if scores is None else scores.accuracy,
            validation_macro_f1=None if scores is None else scores.macro_f1,
            learning_rate=0.0,
            train_seconds=self._seconds,
        )
        notes = ["Nothing but the head was to be trained, so no steps were run: the solved head is the answer."]
        fit = Fit([], [point], 1, scores, texts=0, notes=notes, ended="solved", gain=None, noise=None)
        return fit, np.exp(true)[None].astype(np.float32)

    def _solve(self, classifier: Classifier, examples: dict[str, Examples]) -> Solution:
        """Reads the texts and solves, charged to the meter; then the solver's memory is measured, which is not."""
        from thriftune.cost.measured.memory import peak_of
        from thriftune.engine.gpu.precision import float32_products
        from thriftune.engine.hooks import DivergedError
        from thriftune.engine.predict import logit_batches
        from thriftune.engine.solved.solve import Problem, solve
        from thriftune.models.device import synchronize

        classes, device = len(classifier.labels), classifier.device
        self._meter.solve_started(device)
        synchronize(device)
        started = time.perf_counter()
        try:
            with float32_products():
                train, validation, intercept = self._read(classifier, examples)
                solution = solve(train, validation, classes, intercept, self._given)
        except ValueError as error:
            raise DivergedError(f"the head cannot be solved: what it reads of the training texts is {error}") from error
        synchronize(device)
        self._seconds = time.perf_counter() - started
        weights = [p for p in (*classifier.root.parameters(), *classifier.root.buffers()) if p.device.type != "meta"]
        held = [*weights, train.features, train.labels]
        held += [] if validation is None else [validation.features, validation.labels]
        own = _bytes(weights)
        peak = max(
            peak_of(held, lambda: Problem(train, classes, intercept).probe()),
            peak_of(weights, lambda: next(logit_batches(classifier, examples["train"], self._planned.protocol))),
        )
        prefix = examples["train"].prefix
        cache = 0 if prefix is None or prefix.mapped else prefix.values.nbytes
        memory = Memory(own, 0, 0, 0, cache, peak - own)
        self._meter.solved(self._seconds, peak + cache, memory)
        return solution

    def _read(self, classifier: Classifier, examples: dict[str, Examples]) -> tuple[Labelled, Labelled | None, bool]:
        import torch

        from thriftune.engine.solved.features import features_of, last_linear
        from thriftune.engine.solved.solve import Labelled

        linear = last_linear(classifier)
        protocol, device = self._planned.protocol, classifier.device
        found = {
            split: Labelled(
                features_of(classifier, linear, examples[split], protocol),
                torch.from_numpy(examples[split].labels).to(device),
            )
            for split in ("train", "validation")
            if split in examples
        }
        return found["train"], found.get("validation"), linear.bias is not None


def _note(solution: Solution, given: bool) -> str:
    chosen = "given" if given else "fixed: there is no validation"
    if solution.tried:
        chosen = f"the best of {len(solution.tried)} on validation"
    note = f"The head began as a logistic regression on what it reads of the texts, C {solution.c:.3g} ({chosen})."
    return note if solution.converged else f"{note} The solver stopped before it was as exact as it promises."


def _bytes(tensors: list[torch.Tensor]) -> int:
    """Of the storages, each once."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())
